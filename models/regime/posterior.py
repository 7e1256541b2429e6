"""Regime probabilities of a bar: the mixture's posterior, smoothed over time.

The posterior of a variational Gaussian mixture is evaluated here with numpy alone. Raw posteriors
are close to certain and flip from bar to bar; what a book can follow is their exponentially
weighted mean over the past. Every number depends on the current and earlier bars only.
"""

import math
from typing import NamedTuple

import numpy as np

from models import simplex
from models.arrays import Floats, Indices
from models.errors import ShapeError

REGIMES = ("bull", "bear", "sideways")


class RegimeModel(NamedTuple):
    """A fitted mixture of K Gaussians over d features, and the names of its components.

    Attributes
    ----------
    scaler_mean, scaler_scale : (d,)
        Features are standardised as (x - mean) / scale before anything else.
    weights : (K,)
        Mixture weights, on the simplex; for people, the posterior uses ``log_constants``.
    means : (K, d)
        Component means in standardised units.
    precisions_cholesky : (K, d, d)
        Upper factors P with precision = P P'.
    log_constants : (K,)
        Everything in the log density of a component that does not depend on the features.
    component_regime : (K, 3)
        Row-stochastic map from components to ``REGIMES``.
    feature_columns : (d,)
        int64 positions of the features in the pipeline's order.
    half_life_bars : float
        After so many bars half of the smoothed probability is new.
    """

    scaler_mean: Floats
    scaler_scale: Floats
    weights: Floats
    means: Floats
    precisions_cholesky: Floats
    log_constants: Floats
    component_regime: Floats
    feature_columns: Indices
    half_life_bars: float


class RegimeState(NamedTuple):
    """What a fold over bars remembers.

    Attributes
    ----------
    smoothed : (n_symbols, 3)
        Current belief, on the simplex; uniform before the first usable bar.
    seen : (n_symbols,)
        int64 count of usable bars.
    """

    smoothed: Floats
    seen: Indices


def initial_state(n_symbols: int) -> RegimeState:
    """Start every symbol at the uniform belief.

    Examples
    --------
    >>> initial_state(2).seen.tolist()
    [0, 0]
    """
    return RegimeState(simplex.uniform(n_symbols, len(REGIMES)), np.zeros(n_symbols, np.int64))


def squared_distances(scaled: Floats, means: Floats, precisions_cholesky: Floats) -> Floats:
    """Squared Mahalanobis distance of each row from each component, |(z - m_k) P_k|^2.

    Parameters
    ----------
    scaled : (n, d)
    means : (K, d)
    precisions_cholesky : (K, d, d)
        Upper factors P with precision = P P'.

    Returns
    -------
    (n, K)
        A row's bits depend on the row alone.

    Examples
    --------
    >>> twice = 2.0 * np.eye(2)[None]
    >>> squared_distances(np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]]), twice).tolist()
    [[4.0]]
    """
    centred = scaled[:, None, :] - means
    squares = np.zeros(centred.shape[:2])
    # Sums over features run in a fixed order: a product by BLAS may depend on the number of rows.
    for column in range(centred.shape[2]):
        projected = np.zeros(centred.shape[:2])
        for row in range(centred.shape[2]):
            projected += centred[:, :, row] * precisions_cholesky[:, row, column]
        squares += projected * projected
    return squares


def responsibilities(model: RegimeModel, features: Floats) -> Floats:
    """Probability of each component given the features of one bar.

    p(k | x) is proportional to exp(c_k - |(z - m_k) P_k|^2 / 2) with z the standardised features
    (Bishop 2006, section 10.2.1).

    Parameters
    ----------
    model : RegimeModel
    features : (n, d)
        The model's own columns, unscaled and finite.

    Returns
    -------
    (n, K)
        Rows on the simplex.
    """
    scaled = (features - model.scaler_mean) / model.scaler_scale
    squares = squared_distances(scaled, model.means, model.precisions_cholesky)
    return simplex.softmax(model.log_constants - 0.5 * squares)


def posterior(model: RegimeModel, features: Floats) -> Floats:
    """Probability of each regime given the features of one bar, without memory.

    Parameters
    ----------
    model : RegimeModel
    features : (n, d)
        The model's own columns, unscaled and finite.

    Returns
    -------
    (n, 3)
        Rows on the simplex, in the order of ``REGIMES``.
    """
    by_component = responsibilities(model, features)
    return np.stack(
        [simplex.row_sum(by_component * model.component_regime[:, k]) for k in range(len(REGIMES))],
        axis=1,
    )


def step(
    model: RegimeModel, state: RegimeState, rows: Indices, features: Floats
) -> tuple[RegimeState, Floats]:
    """Fold one slice into the belief of its symbols.

    s <- s + a (p - s) with a = 1 - 2^(-1 / half_life_bars): a convex combination, so the sum stays
    one within rounding for ever.

    Parameters
    ----------
    model : RegimeModel
    state : RegimeState
        Not changed.
    rows : (n,)
        Each row's symbol, without repetition.
    features : (n, F)
        All pipeline features. A row whose model columns are not all finite, or too large to say
        anything, keeps its last belief (uniform, hence log2 3 bits, while it warms up) and does not
        move the state.

    Returns
    -------
    state : RegimeState
    regime : (n, 4)
        bull, bear, sideways, entropy in bits.

    Raises
    ------
    ShapeError
        If rows and features do not belong together.
    """
    if features.ndim != 2 or rows.shape != (features.shape[0],):  # noqa: PLR2004  rows by columns
        raise ShapeError(
            f"features must be (n, F) beside rows (n,), was {features.shape} beside {rows.shape}"
        )
    used = features[:, model.feature_columns]
    usable = np.all(np.isfinite(used), axis=1)
    gain = -math.expm1(-math.log(2.0) / model.half_life_bars)
    before = state.smoothed[rows]
    evidence = posterior(model, np.where(usable[:, None], used, model.scaler_mean))
    # So far from all components that every density is zero: a NaN would stay in the state for ever.
    usable &= np.all(np.isfinite(evidence), axis=1)
    belief = np.where(usable[:, None], before + gain * (evidence - before), before)
    smoothed, seen = state.smoothed.copy(), state.seen.copy()
    smoothed[rows] = belief
    seen[rows] += usable
    regime = np.column_stack([belief, simplex.entropy_bits(belief)])
    return RegimeState(smoothed, seen), regime
