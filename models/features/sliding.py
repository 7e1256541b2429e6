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
    """What a bank of sliding windows remembers, symbol first.

    `slots` (n_symbols, sum of windows): behind the cut's place raw values, before it suffixes.
    `newest` (n_symbols, n_columns): everything since the cut, accumulated.
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
    ...     sums = bank.step(state, np.array([0]), np.array([bar]), np.full((1, 2), float(bar)))
    >>> sums.tolist()
    [[7.0, 9.0]]
    """

    combine: np.ufunc
    windows: tuple[int, ...]

    @cached_property
    def _width(self) -> IntArray:
        return np.array(self.windows, dtype=np.int64)

    @cached_property
    def _offset(self) -> IntArray:
        return np.cumsum(self._width) - self._width

    def blank(self, n_symbols: int) -> SlidingState:
        """Give the state before any bar: all NaN, so an unfilled window answers NaN."""
        return SlidingState(
            np.full((n_symbols, sum(self.windows)), np.nan),
            np.full((n_symbols, len(self.windows)), np.nan),
        )

    def step(
        self, state: SlidingState, rows: IntArray, count: IntArray, values: FloatArray
    ) -> FloatArray:
        """Take one value per row and column, (n_rows, n_columns); give each window's aggregate.

        `count` (n_rows,) is each symbol's number of bars, this one included. The state's arrays are
        written in place. NaN until a window is full, and while a NaN is within it.
        """
        place = (count[:, None] - 1) % self._width
        flat = state.slots.reshape(-1)
        slot = (rows * state.slots.shape[1])[:, None] + self._offset + place
        flat[slot] = values
        newest = np.where(place == 0, values, self.combine(state.newest[rows], values))
        state.newest[rows] = newest
        complete = place == self._width - 1
        suffix = flat[slot + ~complete]
        aggregate = np.where(complete, newest, self.combine(newest, suffix))
        self._cut(state.slots, rows, complete)
        return aggregate

    def _cut(self, slots: FloatArray, rows: IntArray, complete: BoolArray) -> None:
        """Turn the raw values of the windows just completed into suffixes."""
        for column in np.flatnonzero(complete.any(axis=0)):
            symbols = rows[complete[:, column]]
            begin = self._offset[column]
            span = slice(begin, begin + self._width[column])
            raw = slots[symbols, span]
            slots[symbols, span] = self.combine.accumulate(raw[:, ::-1], axis=1)[:, ::-1]
