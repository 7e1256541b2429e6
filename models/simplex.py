"""Probability vectors: rows that are not negative and sum to one.

Every function takes rows on axis 0 and treats them one by one, bit for bit: a row's result depends
neither on its company nor on its position. Arrays are float64 and never changed in place.
"""

import math

import numpy as np

from models.arrays import Floats, Mask

TOLERANCE = 1e-9


def row_sum(values: Floats) -> Floats:
    """Sum each row from left to right.

    ``numpy.sum`` picks its order of addition by the memory layout, which differs between one row
    and many; this order is fixed.

    Parameters
    ----------
    values : (n, k)

    Returns
    -------
    (n,)
        NaN where the row holds a NaN.

    Examples
    --------
    >>> row_sum(np.array([[0.25, 0.5, 0.25]])).tolist()
    [1.0]
    """
    total = values[:, 0].copy()
    for column in range(1, values.shape[1]):
        total += values[:, column]
    return total


def uniform(n_rows: int, k: int) -> Floats:
    """Give the same weight to each of k entries, in every row of an (n_rows, k) array.

    Examples
    --------
    >>> uniform(1, 4).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    return np.full((n_rows, k), 1.0 / k)


def off_simplex(weights: Floats, tolerance: float = TOLERANCE) -> Mask:
    """Mark the rows that are no probability vectors.

    Parameters
    ----------
    weights : (n, k)
        NaN and infinity are allowed and marked.
    tolerance : float
        Largest accepted distance of the sum from one.

    Returns
    -------
    (n,)
        True where an entry is negative or not finite, or the sum is not one.

    Examples
    --------
    >>> off_simplex(np.array([[0.5, 0.5], [0.5, 0.6], [np.nan, 1.0]])).tolist()
    [False, True, True]
    """
    proper = np.all((weights >= 0.0) & (weights <= 1.0 + tolerance), axis=1)
    sums = row_sum(np.where(proper[:, None], weights, 0.0))
    off: Mask = ~(proper & (np.abs(sums - 1.0) <= tolerance))
    return off


def repaired(weights: Floats) -> Floats:
    """Bring every row onto the simplex.

    A row of finite, non-negative numbers with a positive sum is divided by that sum; any other
    row becomes uniform. Rows already within ``TOLERANCE`` stay as they are, to the last bit;
    ``off_simplex`` tells which were changed.

    Parameters
    ----------
    weights : (n, k)
        NaN and infinity are allowed.

    Returns
    -------
    (n, k)
        Finite, non-negative, each row summing to one.

    Examples
    --------
    >>> repaired(np.array([[1.0, 3.0], [-1.0, 2.0], [0.5, 0.5]])).tolist()
    [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]
    """
    result = weights.copy()
    bad = off_simplex(weights)
    if not bad.any():
        return result
    candidates = weights[bad]
    usable = np.all(np.isfinite(candidates) & (candidates >= 0.0), axis=1)
    # Division by the largest entry first: the sum of huge finite numbers would overflow.
    largest = np.where(usable, candidates.max(axis=1), 0.0)
    usable &= largest > 0.0
    safe = np.where(usable[:, None], candidates, 1.0)
    safe = safe / np.where(usable, largest, 1.0)[:, None]
    result[bad] = safe / row_sum(safe)[:, None]
    return result


def softmax(logits: Floats) -> Floats:
    """Exponentiate and normalise each row without overflow.

    Parameters
    ----------
    logits : (n, k)
        Negative infinity gives the weight zero; a row needs one finite entry.

    Returns
    -------
    (n, k)
        NaN in rows that hold a NaN or have no finite entry.

    Examples
    --------
    >>> softmax(np.array([[0.0, 0.0], [-np.inf, 7.0]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    top = logits.max(axis=1)
    shifted = logits - np.where(np.isfinite(top), top, np.nan)[:, None]
    exponentials = np.exp(shifted)
    return exponentials / row_sum(exponentials)[:, None]


def sigmoid(logits: Floats) -> Floats:
    """Turn log odds of any shape into probabilities; NaN stays NaN.

    Examples
    --------
    >>> sigmoid(np.array([-1e6, 0.0, 1e6])).tolist()
    [0.0, 0.5, 1.0]
    """
    # The tangent form has no overflow on either side, unlike 1 / (1 + exp(-x)).
    return 0.5 + 0.5 * np.tanh(0.5 * logits)


def entropy_bits(probabilities: Floats) -> Floats:
    """Shannon entropy of each row, base 2 (Shannon 1948).

    Parameters
    ----------
    probabilities : (n, k)
        Rows on the simplex; zero entries count nothing.

    Returns
    -------
    (n,)
        Bits, between 0 and log2 k; NaN where the row holds a NaN.

    Examples
    --------
    >>> entropy_bits(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    logarithms = np.log2(np.where(probabilities == 0.0, 1.0, probabilities))
    # Adding 0.0 turns the -0.0 of a certain row into 0.0.
    bits = 0.0 - row_sum(probabilities * logarithms) + 0.0
    return np.minimum(bits, math.log2(probabilities.shape[1]))


def distance(first: Floats, second: Floats) -> Floats:
    """Half the L1 distance of each pair of rows: the share of a book that must be moved.

    Parameters
    ----------
    first, second : (n, k)

    Returns
    -------
    (n,)
        Between 0 and 1 for rows on the simplex; NaN where either row holds a NaN.

    Examples
    --------
    >>> distance(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]])).tolist()
    [0.75]
    """
    return 0.5 * row_sum(np.abs(first - second))


def limited(previous: Floats, target: Floats, max_change_fraction: float) -> Floats:
    """Walk from each previous row towards its target, no farther than the limit.

    Both ends of the segment lie on the simplex, hence so does the result.

    Parameters
    ----------
    previous, target : (n, k)
        Rows on the simplex.
    max_change_fraction : float
        Largest ``distance`` of a step.

    Returns
    -------
    (n, k)

    Examples
    --------
    >>> limited(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.25).tolist()
    [[0.75, 0.25]]
    """
    gap = distance(previous, target)
    share = np.where(gap > max_change_fraction, max_change_fraction / np.maximum(gap, 1e-300), 1.0)
    return np.where((share < 1.0)[:, None], previous + share[:, None] * (target - previous), target)
