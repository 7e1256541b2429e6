"""The threshold arm: momentum over volatility, cut in three at quantiles of the history."""

import math
from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices
from models.regime import sequences
from models.regime.mixture import ROWS_PER_COMPONENT, component_names
from models.regime.mixture_settings import FEATURES
from models.regime.posterior import REGIMES

MAX_ROWS = 40_000

_VOLATILITY, _RETURN = FEATURES.index("volatility_21"), FEATURES.index("return_63")


class ThresholdModel(NamedTuple):
    """Two cuts of one score, and the names of the three parts.

    Attributes
    ----------
    cuts : (2,)
        Of return_63 / (volatility_21 sqrt 63), a t statistic; rising.
    part_regime : (3, 3)
        Row-stochastic map from parts, lowest first, to ``REGIMES``.
    feature_columns : (4,)
    """

    cuts: Floats
    part_regime: Floats
    feature_columns: Indices


def fit(features: Floats, *, columns: Indices) -> ThresholdModel:
    """Cut the training scores into thirds, and name the parts as mixture components are named.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        All pipeline features; rows with a NaN among the used columns are left out.
    columns : (4,)
        int64 positions of ``mixture_settings.FEATURES``.

    Returns
    -------
    ThresholdModel
        There is nothing random in it.

    Raises
    ------
    HistoryTooShort
        If too few rows are finite.
    """
    needed = ROWS_PER_COMPONENT * len(REGIMES)
    taken = sequences.latest(features, columns, max_rows=MAX_ROWS, min_rows=needed)
    rows = taken.scaled * taken.scale + taken.mean
    values = score(rows)
    cuts = np.quantile(values, [1.0 / 3.0, 2.0 / 3.0])
    parts = np.searchsorted(cuts, values, side="right")
    means = np.stack([rows[parts == part].mean(axis=0) for part in range(len(REGIMES))])
    shares = np.bincount(parts, minlength=len(REGIMES)) / len(parts)
    names = component_names(means, shares)
    return ThresholdModel(cuts, np.eye(len(REGIMES))[names], np.asarray(columns, np.int64))


def score(used: Floats) -> Floats:
    """Momentum in units of its own uncertainty: return_63 / (volatility_21 sqrt 63).

    Parameters
    ----------
    used : (..., 4)
        Columns as in ``mixture_settings.FEATURES``, finite. Without volatility the score is 0.

    Examples
    --------
    >>> score(np.array([[0.0, 0.01, 0.06 * math.sqrt(63), 0.0], [0.0, 0.0, 0.1, 0.0]])).tolist()
    [6.0, 0.0]
    """
    deviation = used[..., _VOLATILITY] * math.sqrt(63)
    moving = deviation > 0.0
    quotients: Floats = np.where(moving, used[..., _RETURN] / np.where(moving, deviation, 1.0), 0.0)
    return quotients


def filtered(model: ThresholdModel, features: Floats) -> Floats:
    """Regime of each bar's score, as a certain probability.

    Parameters
    ----------
    model : ThresholdModel
    features : (n_bars, n_symbols, F)
        A row whose model columns are not all finite keeps the last regime; before a symbol's first
        usable bar the answer is uniform.

    Returns
    -------
    (n_bars, n_symbols, 3)
        Rows on the simplex, in the order of ``REGIMES``.
    """
    filling = np.zeros(len(model.feature_columns))
    used, usable = sequences.usable_rows(features, model.feature_columns, filling)
    certain = model.part_regime[np.searchsorted(model.cuts, score(used), side="right")]
    regimes = np.empty(certain.shape)
    belief = simplex.uniform(certain.shape[1], len(REGIMES))
    for bar in range(len(certain)):
        belief = np.where(usable[bar][:, None], certain[bar], belief)
        regimes[bar] = belief
    return regimes
