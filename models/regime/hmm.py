"""The hidden Markov arm: a Gaussian HMM, fitted by hmmlearn and filtered here with numpy.

Only the forward recursion runs over new bars (Rabiner 1989, equations 19 and 20): the belief of a
bar knows that bar and earlier ones. hmmlearn's own posteriors look both ways.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from hmmlearn.hmm import GaussianHMM
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no stubs

from models import simplex
from models.arrays import Floats, Indices
from models.regime import sequences
from models.regime.mixture import ROWS_PER_COMPONENT, component_names
from models.regime.posterior import REGIMES, squared_distances


class HmmModel(NamedTuple):
    """A fitted chain of S states over d features, and the names of its states.

    Attributes
    ----------
    scaler_mean, scaler_scale : (d,)
    start : (S,)
        Probabilities of the first bar.
    transition : (S, S)
        Row-stochastic, from row to column.
    means : (S, d)
        In standardised units.
    precisions_cholesky : (S, d, d)
        Upper factors P with precision = P P'.
    log_constants : (S,)
        log det P - d/2 log 2 pi.
    state_regime : (S, 3)
        Row-stochastic map from states to ``REGIMES``.
    feature_columns : (d,)
    """

    scaler_mean: Floats
    scaler_scale: Floats
    start: Floats
    transition: Floats
    means: Floats
    precisions_cholesky: Floats
    log_constants: Floats
    state_regime: Floats
    feature_columns: Indices


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fit.

    Attributes
    ----------
    states : int
    restarts : int
        Starts from different k-means solutions; the likeliest chain wins.
    max_rows : int
        Bound on rows over all symbols, taken from the end.
    max_iterations : int
        Bound on the steps of expectation-maximisation.
    """

    states: int = 3
    restarts: int = 4
    max_rows: int = 8_000
    max_iterations: int = 50


DEFAULTS = Settings()

FLOOR = 1e-3
"""Added to the variances of a start, in standardised units, where a cluster is a point."""


def fit(
    features: Floats, *, columns: Indices, seed: int, settings: Settings = DEFAULTS
) -> HmmModel:
    """Fit the chain, pooled over symbols: one sequence each.

    Parameters
    ----------
    features : (n_bars, n_symbols, F)
        All pipeline features; rows with a NaN among the used columns are left out.
    columns : (4,)
        int64 positions of ``mixture_settings.FEATURES``.
    seed : int
        Seed of the k-means start; the same seed and data give the same bytes on one machine.
    settings : Settings

    Returns
    -------
    HmmModel

    Raises
    ------
    HistoryTooShort
        If too few rows are finite.
    """
    needed = ROWS_PER_COMPONENT * settings.states
    taken = sequences.latest(features, columns, max_rows=settings.max_rows, min_rows=needed)
    lengths = list(taken.lengths)
    with threadpool_limits(limits=1):
        starts = np.random.default_rng(seed).integers(0, 2**31, settings.restarts)
        chains = [_climbed(taken, int(start), settings) for start in starts]
        chain = max(chains, key=lambda each: float(each.score(taken.scaled, lengths)))
        occupancy = chain.predict_proba(taken.scaled, lengths).mean(axis=0)
    return _export(chain, taken, occupancy, columns)


def _climbed(taken: sequences.Sequences, start: int, settings: Settings) -> GaussianHMM:
    """Climb from one k-means solution; hmmlearn's own start gives every state the same spread."""
    clusters = KMeans(settings.states, n_init=1, random_state=start).fit(taken.scaled)
    d = taken.scaled.shape[1]
    spreads = [
        np.cov(taken.scaled[clusters.labels_ == state].T, ddof=0) + FLOOR * np.eye(d)
        for state in range(settings.states)
    ]
    chain = GaussianHMM(
        settings.states,
        covariance_type="full",
        init_params="st",
        n_iter=settings.max_iterations,
        tol=1.0,
        random_state=start,
    )
    chain.means_, chain.covars_ = clusters.cluster_centers_, np.stack(spreads)
    return chain.fit(taken.scaled, list(taken.lengths))


def filtered(model: HmmModel, features: Floats) -> Floats:
    """Probability of each regime given this bar and all before it.

    a_t is proportional to (a_t-1 A) b_t, with b_t the state densities of bar t.

    Parameters
    ----------
    model : HmmModel
    features : (n_bars, n_symbols, F)
        A row whose model columns are not all finite keeps the last belief; before a symbol's first
        usable bar that is uniform.

    Returns
    -------
    (n_bars, n_symbols, 3)
        Rows on the simplex, in the order of ``REGIMES``.
    """
    used, usable = sequences.usable_rows(features, model.feature_columns, model.scaler_mean)
    n_bars, n_symbols, d = used.shape
    scaled = ((used - model.scaler_mean) / model.scaler_scale).reshape(-1, d)
    squares = squared_distances(scaled, model.means, model.precisions_cholesky)
    log_densities = (model.log_constants - 0.5 * squares).reshape(n_bars, n_symbols, -1)
    belief = np.tile(model.start, (n_symbols, 1))
    begun = np.zeros(n_symbols, np.bool_)
    regimes = np.empty((n_bars, n_symbols, len(REGIMES)))
    for bar in range(n_bars):
        expected = np.where(begun[:, None], _mapped(belief, model.transition), model.start)
        with np.errstate(divide="ignore"):
            updated = simplex.softmax(np.log(expected) + log_densities[bar])
        belief = np.where(usable[bar][:, None], updated, belief)
        begun |= usable[bar]
        regimes[bar] = np.where(
            begun[:, None], _mapped(belief, model.state_regime), 1.0 / len(REGIMES)
        )
    return regimes


def _mapped(belief: Floats, transition: Floats) -> Floats:
    """Map every row by a row-stochastic matrix, the states added in a fixed order."""
    moved: Floats = belief[:, :1] * transition[0]
    for state in range(1, len(transition)):
        moved = moved + belief[:, state : state + 1] * transition[state]
    return moved


def _export(
    chain: GaussianHMM, taken: sequences.Sequences, occupancy: Floats, columns: Indices
) -> HmmModel:
    covariances = chain.covars_
    # P = (L^-1)' with covariance = L L', so that precision = P P'.
    factors = np.linalg.inv(np.linalg.cholesky(covariances)).transpose(0, 2, 1)
    determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    d = taken.scaled.shape[1]
    names = component_names(chain.means_ * taken.scale + taken.mean, occupancy)
    log_constants: Floats = determinants - 0.5 * d * np.log(2.0 * np.pi)
    return HmmModel(
        scaler_mean=taken.mean,
        scaler_scale=taken.scale,
        start=chain.startprob_,
        transition=chain.transmat_,
        means=chain.means_,
        precisions_cholesky=np.ascontiguousarray(factors),
        log_constants=log_constants,
        state_regime=np.eye(len(REGIMES))[names],
        feature_columns=np.asarray(columns, np.int64),
    )
