"""Sums and maxima over sliding windows: constant work per bar, and nothing is ever subtracted.

A running sum that subtracts what leaves the window drifts, and a price spike that passed through
leaves its rounding behind for ever. Here the window is cut at every `window`-th bar of the symbol:
what came after the cut is accumulated as it comes, what came before it is held as suffixes,
accumulated backwards once per cut. The answer is `combine(suffix, accumulated)`: for sums of n
terms the error is at most n roundings, bar 10 or bar 10 million; for maxima it is none.
(van Herk, 1992, and Gil and Werman, 1993, for maxima; two stacks for any associative operation.)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from models.features.arithmetic import BoolArray, FloatArray, IntArray


class SlidingState(NamedTuple):
    """What a bank of sliding windows remembers, symbol last.

    `slots` (sum of windows, n_symbols): behind the cut's place raw values, before it suffixes.
    `newest` (n_columns, n_symbols): everything since the cut, accumulated.
    """

    slots: FloatArray
    newest: FloatArray


@dataclass(frozen=True)
class SlidingBank:
    """Several windows over several columns, combined by one associative ufunc.

    Parameters
    ----------
    combine
        `np.add` or `np.maximum`.
    windows
        Bars per column.

    Examples
    --------
    >>> bank = SlidingBank(np.add, (2, 3))
    >>> state = bank.blank(n_symbols=1)
    >>> for bar in (1, 2, 3, 4):
    ...     sums = bank.step(state, np.array([0]), np.array([bar]), np.full((2, 1), float(bar)))
    >>> sums.tolist()
    [[7.0], [9.0]]
    """

    combine: np.ufunc
    windows: tuple[int, ...]

    @cached_property
    def _width(self) -> IntArray:
        return np.array(self.windows, dtype=np.int64)[:, None]

    @cached_property
    def _offset(self) -> IntArray:
        return np.cumsum(self._width, axis=0) - self._width

    def blank(self, n_symbols: int) -> SlidingState:
        """Give the state before any bar: all NaN, so an unfilled window answers NaN."""
        return SlidingState(
            np.full((sum(self.windows), n_symbols), np.nan),
            np.full((len(self.windows), n_symbols), np.nan),
        )

    def step(
        self, state: SlidingState, rows: IntArray, count: IntArray, values: FloatArray
    ) -> FloatArray:
        """Take one value per column and row, (n_columns, n_rows); give each window's aggregate.

        `count` (n_rows,) is each symbol's number of bars, this one included. The state's arrays are
        written in place. NaN until a window is full, and while a NaN is within it.
        """
        place = (count - 1) % self._width
        slot = self._offset + place
        state.slots[slot, rows] = values
        newest = np.where(place == 0, values, self.combine(state.newest[:, rows], values))
        state.newest[:, rows] = newest
        complete = place == self._width - 1
        suffix = state.slots[slot + ~complete, rows]
        aggregate = np.where(complete, newest, self.combine(newest, suffix))
        self._cut(state.slots, rows, complete)
        return aggregate

    def _cut(self, slots: FloatArray, rows: IntArray, complete: BoolArray) -> None:
        """Turn the raw values of the windows just completed into suffixes."""
        for column in np.flatnonzero(complete.any(axis=1)):
            symbols = rows[complete[column]]
            begin = int(self._offset[column, 0])
            span = slice(begin, begin + self.windows[column])
            raw = slots[span, symbols]
            slots[span, symbols] = self.combine.accumulate(raw[::-1], axis=0)[::-1]
