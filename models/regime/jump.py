"""The jump arm: a statistical jump model, fitted by jumpmodels and followed here with numpy.

A state costs half the squared distance of the bar from its centre, a change of state costs a fixed
penalty (Bemporad, Breschi, Piga and Boyd 2018; for regimes Nystrup, Lindstroem and Madsen 2020).
Online, the state of a bar is where the cheapest path up to that bar ends.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jumpmodels.jump import JumpModel as Estimator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no stubs

from models.arrays import Floats, Indices
from models.errors import NotFitted
from models.regime import sequences
from models.regime.mixture import ROWS_PER_COMPONENT, component_names
from models.regime.posterior import REGIMES


class JumpModel(NamedTuple):
    """Centres of S states over d features, and their names.

    Attributes
    ----------
    scaler_mean, scaler_scale : (d,)
    centres : (S, d)
        In standardised units.
    jump_penalty : float
        Cost of a change of state, in half squared standardised distances.
    state_regime : (S, 3)
        Row-stochastic map from states to ``REGIMES``.
    feature_columns : (d,)
    """

    scaler_mean: Floats
    scaler_scale: Floats
    centres: Floats
    jump_penalty: float
    state_regime: Floats
    feature_columns: Indices


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fit.

    Attributes
    ----------
    states : int
    jump_penalty : float
        50 is what the examples of the package take for daily features.
    restarts : int
        Starts from different k-means++ centres; the cheapest path wins.
    max_rows : int
        Bound on rows over all symbols, taken from the end: the search is a loop in Python.
    max_iterations : int
    """

    states: int = 3
    jump_penalty: float = 50.0
    restarts: int = 3
    max_rows: int = 8_000
    max_iterations: int = 100


DEFAULTS = Settings()


def fit(
    features: Floats, *, columns: Indices, seed: int, settings: Settings = DEFAULTS
) -> JumpModel:
    """Fit the centres, pooled over symbols.

    The symbols stand one after another in one path; a change at a seam costs one penalty at most.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        All pipeline features; rows with a NaN among the used columns are left out.
    columns : (4,)
        int64 positions of ``mixture_settings.FEATURES``.
    seed : int
        The same seed and data give the same bytes on one machine.
    settings : Settings

    Returns
    -------
    JumpModel

    Raises
    ------
    HistoryTooShort
        If too few rows are finite.
    NotFitted
        If a state stayed empty: the penalty is too high for these rows.
    """
    needed = ROWS_PER_COMPONENT * settings.states
    taken = sequences.latest(features, columns, max_rows=settings.max_rows, min_rows=needed)
    estimator = Estimator(
        n_components=settings.states,
        jump_penalty=settings.jump_penalty,
        random_state=seed,
        max_iter=settings.max_iterations,
        n_init=settings.restarts,
    )
    with threadpool_limits(limits=1):
        estimator.fit(taken.scaled, sort_by="freq")
    counts = np.bincount(np.asarray(estimator.labels_, np.int64), minlength=settings.states)
    if not np.isfinite(estimator.centers_).all() or not counts.all():
        raise NotFitted(
            f"each of {settings.states} states needs a row under the jump penalty "
            f"{settings.jump_penalty:g}, was {counts.tolist()}"
        )
    names = component_names(estimator.centers_ * taken.scale + taken.mean, counts / counts.sum())
    return JumpModel(
        scaler_mean=taken.mean,
        scaler_scale=taken.scale,
        centres=np.ascontiguousarray(estimator.centers_),
        jump_penalty=settings.jump_penalty,
        state_regime=np.eye(len(REGIMES))[names],
        feature_columns=np.asarray(columns, np.int64),
    )


def filtered(model: JumpModel, features: Floats) -> Floats:
    """Regime in which the cheapest path up to each bar ends, as a certain probability.

    V_t(k) = |z_t - c_k|^2 / 2 + min(V_t-1(k), min_j V_t-1(j) + penalty).

    Parameters
    ----------
    model : JumpModel
    features : (n_bars, n_symbols, F)
        A row whose model columns are not all finite keeps the last state; before a symbol's first
        usable bar the answer is uniform.

    Returns
    -------
    (n_bars, n_symbols, 3)
        Rows on the simplex, in the order of ``REGIMES``.
    """
    used, usable = sequences.usable_rows(features, model.feature_columns, model.scaler_mean)
    scaled = (used - model.scaler_mean) / model.scaler_scale
    costs = 0.5 * ((scaled[:, :, None, :] - model.centres) ** 2).sum(axis=-1)
    values = np.zeros(costs.shape[1:])
    begun = np.zeros(costs.shape[1], np.bool_)
    regimes = np.empty((*costs.shape[:2], len(REGIMES)))
    for bar in range(len(costs)):
        cheapest = values.min(axis=1, keepdims=True)
        paths = np.minimum(values, cheapest + model.jump_penalty) + costs[bar]
        # Only differences matter; without the subtraction decades of bars would cost digits.
        values = np.where(usable[bar][:, None], paths - paths.min(axis=1, keepdims=True), values)
        begun |= usable[bar]
        certain = model.state_regime[values.argmin(axis=1)]
        regimes[bar] = np.where(begun[:, None], certain, 1.0 / len(REGIMES))
    return regimes
