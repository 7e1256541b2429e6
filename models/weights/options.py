"""Options over the specialists: when to stay with one, when to leave it, and for which.

An option (Sutton, Precup and Singh 1999) has three parts. It may begin where its specialist is
alive; while it runs all weight is that specialist's; at every bar it ends with a learned
probability, and a learned softmax chooses the next one. Served is no draw from this process but its
occupancy: the exact probability that each option is running, folded bar by bar. The same bars give
the same weights.
"""

import math

import numpy as np

from models import simplex
from models.arrays import Floats, Mask

FEATURES = (
    "constant",
    "bull",
    "bear",
    "sideways",
    "entropy",
    "bull_performance",
    "bear_performance",
    "sideways_performance",
)
"""What the policy sees of a symbol, in the order of its coefficients."""

COLLAPSE_FRACTION = 0.95
"""Usage of one option above which the others are as good as gone."""


def features(probabilities: Floats, log_performance: Floats) -> Floats:
    """Give what the policy sees: regime, how uncertain it is, and who has been right lately.

    Parameters
    ----------
    probabilities : (n, 3)
        Regime probabilities, on the simplex.
    log_performance : (n, 3)
        Log weights by past performance; a NaN stays NaN.

    Returns
    -------
    (n, 8)
        In the order of ``FEATURES``: one; probabilities less one third; entropy as a share of its
        maximum; log weights less their mean, squashed into (-1, 1) by v / (1 + |v|).

    Examples
    --------
    >>> features(np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, -1.5, -1.5]])).round(2).tolist()
    [[1.0, 0.67, -0.33, -0.33, 0.0, 0.5, -0.33, -0.33]]
    """
    k = probabilities.shape[1]
    excess = log_performance - simplex.row_sum(log_performance)[:, None] / k
    return np.column_stack(
        [
            np.ones(len(probabilities)),
            probabilities - 1.0 / k,
            simplex.entropy_bits(probabilities) / math.log2(k),
            excess / (1.0 + np.abs(excess)),
        ]
    )


def selection(coefficients: Floats, seen: Floats, alive: Mask) -> Floats:
    """Probability of each option to be the next one: a softmax over those that may begin.

    Parameters
    ----------
    coefficients : (3, F)
        One row per option.
    seen : (n, F)
        From ``features``.
    alive : (n, 3)
        At least one true in each row.

    Returns
    -------
    (n, 3)
        On the simplex, zero for the dead; NaN in rows that see a NaN.

    Examples
    --------
    >>> alive = np.array([[True, True, False]])
    >>> selection(np.zeros((3, 8)), np.ones((1, 8)), alive).tolist()
    [[0.5, 0.5, 0.0]]
    """
    return simplex.softmax(np.where(alive, _linear(coefficients, seen), -np.inf))


def termination(coefficients: Floats, seen: Floats, alive: Mask) -> Floats:
    """Probability of each option to end at this bar, one for the dead.

    Parameters
    ----------
    coefficients : (3, F)
        One row per option.
    seen : (n, F)
        From ``features``.
    alive : (n, 3)

    Returns
    -------
    (n, 3)
        In [0, 1]; NaN in rows that see a NaN, except for the dead.

    Examples
    --------
    >>> termination(np.zeros((3, 8)), np.ones((1, 8)), np.array([[True, True, False]])).tolist()
    [[0.5, 0.5, 1.0]]
    """
    return np.where(alive, simplex.sigmoid(_linear(coefficients, seen)), 1.0)


def occupancy(previous: Floats, ending: Floats, chosen: Floats) -> Floats:
    """Fold one bar: what ends is given out anew, the rest runs on.

    o'_k = (1 - b_k) o_k + c_k sum_j b_j o_j.

    Parameters
    ----------
    previous : (n, 3)
        Probability that each option was running, on the simplex.
    ending : (n, 3)
        Termination probabilities b.
    chosen : (n, 3)
        Selection probabilities c, on the simplex.

    Returns
    -------
    (n, 3)
        On the simplex; NaN in rows that hold a NaN.

    Examples
    --------
    >>> occupancy(np.array([[1.0, 0.0]]), np.array([[0.5, 1.0]]), np.array([[0.5, 0.5]])).tolist()
    [[0.75, 0.25]]
    """
    ended = ending * previous
    return (previous - ended) + chosen * simplex.row_sum(ended)[:, None]


def usage(occupied_bars: Floats) -> Floats:
    """Share of the bars that each option ran; (n, 3) to (n, 3), equal before the first bar.

    Examples
    --------
    >>> usage(np.array([[30.0, 10.0, 0.0]])).tolist()
    [[0.75, 0.25, 0.0]]
    """
    return simplex.repaired(occupied_bars)


def length_bars(occupied_bars: Floats, endings: Floats) -> Floats:
    """Mean bars until an option ends: bars it ran over times it ended.

    Parameters
    ----------
    occupied_bars, endings : any equal shape
        Sums over bars, discounted alike.

    Returns
    -------
    same shape
        Infinity where nothing ended. An option that is chosen again at once has ended all the same.

    Examples
    --------
    >>> length_bars(np.array([30.0, 10.0]), np.array([2.0, 0.0])).tolist()
    [15.0, inf]
    """
    known = endings > 0.0
    return np.where(known, occupied_bars / np.where(known, endings, 1.0), np.inf)


def collapsed(occupied_bars: Floats) -> Mask:
    """Mark the symbols on which one option does everything; (n, 3) to (n,).

    Examples
    --------
    >>> collapsed(np.array([[97.0, 2.0, 1.0], [1.0, 1.0, 1.0]])).tolist()
    [True, False]
    """
    alone: Mask = usage(occupied_bars).max(axis=1) > COLLAPSE_FRACTION
    return alone


def _linear(coefficients: Floats, seen: Floats) -> Floats:
    # Column by column: a matrix product may round a row differently in other company.
    total = np.zeros((len(seen), len(coefficients)))
    for column in range(seen.shape[1]):
        total += seen[:, column, None] * coefficients[:, column]
    return total
