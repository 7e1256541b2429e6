"""Correlation of a symbol with the rest of the book, from the last bars' returns.

Returns are a window of shape (n_symbols, n_bars), NaN where a symbol had no bar. Cross-symbol sums
run in symbol order, so the result does not depend on who else is in the book's memory layout.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def book_returns(window: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the return of a book with signed ``weights`` (n_symbols,), per bar, shape (n_bars,).

    ``window`` holds no NaN: a missing return counts as zero, the position did not move. Symbols are
    added one after the other, in their order.
    """
    total = np.zeros(window.shape[1])
    for weight, returns in zip(weights.tolist(), window, strict=True):
        if weight:
            total += weight * returns
    return total


class Centred(NamedTuple):
    """A series less its mean, and the sum of its squares."""

    moves: FloatArray
    squares: float

    @classmethod
    def of(cls, series: FloatArray) -> "Centred":
        """Return what a correlation needs of one series."""
        moves = series - np.add.reduce(series) / len(series)
        return cls(moves, float(np.add.reduce(moves * moves)))

    def correlation(self, other: "Centred") -> float:
        """Return Pearson's correlation with an equally long series; 0.0 where one is constant."""
        spread = math.sqrt(self.squares * other.squares)
        if spread == 0.0:
            return 0.0
        return max(-1.0, min(1.0, float(np.add.reduce(self.moves * other.moves)) / spread))
