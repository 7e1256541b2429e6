"""Correlation of a symbol with the rest of the book, from the last bars' returns.

Returns are a window of shape (n_symbols, n_bars), NaN where a symbol had no bar. Cross-symbol sums
run in symbol order, so the result does not depend on who else is in the book's memory layout.
"""

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def book_returns(window: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the return of a book with signed ``weights`` (n_symbols,), per bar, shape (n_bars,).

    ``window`` holds no NaN: a missing return counts as zero, the position did not move. Symbols are
    added one after the other, in their order.
    """
    total = np.zeros(window.shape[1])
    for at in np.flatnonzero(weights).tolist():
        total += weights[at] * window[at]
    return total


def correlation(first: FloatArray, second: FloatArray) -> float:
    """Return Pearson's correlation of two equally long series; 0.0 where one is constant.

    Examples
    --------
    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
    1.0
    """
    a = first - first.sum() / len(first)
    b = second - second.sum() / len(second)
    spread = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    if spread == 0.0:
        return 0.0
    return max(-1.0, min(1.0, float((a * b).sum()) / spread))
