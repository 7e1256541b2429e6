"""Exponential and Wilder averages, seeded as TA-Lib seeds them.

Both are `value += weight * (x - value)`, an exponential average of n bars with weight 2 / (n + 1),
Wilder's (New Concepts in Technical Trading Systems, 1978) with 1 / n. Neither has a beginning of
its own: the first value is the mean of the first n inputs, and everything after depends on it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.features.arithmetic import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Average:
    """One average: the first value is the sum of `seed_bars` inputs over `seed_divisor`.

    `skip_bars` are the symbol's first bars that are no inputs yet, because what is averaged
    (a change, another average) does not exist there.
    """

    weight: float
    seed_bars: int
    seed_divisor: int
    skip_bars: int = 0


def exponential(period: int, skip_bars: int = 0) -> Average:
    """Give an exponential average of `period` bars that starts with their mean."""
    return Average(2.0 / (period + 1), period, period, skip_bars)


def wilder(period: int, skip_bars: int = 1) -> Average:
    """Give Wilder's average of `period` changes; the first bar has no change."""
    return Average(1.0 / period, period, period, skip_bars)


@dataclass(frozen=True)
class SmoothingBank:
    """Several averages, one a column; the state is one float64 array (n_columns, n_symbols).

    Examples
    --------
    >>> bank = SmoothingBank((exponential(3),))
    >>> state = bank.blank(n_symbols=1)
    >>> for bar, price in enumerate((1.0, 2.0, 6.0, 5.0), start=1):
    ...     mean = bank.step(state, np.array([0]), np.array([bar]), np.array([[price]]))
    >>> mean.tolist()  # 3 is the mean of the first three, then half way to 5
    [[4.0]]
    """

    averages: tuple[Average, ...]

    @cached_property
    def _columns(self) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
        return (
            np.array([[average.weight] for average in self.averages]),
            np.array([[average.seed_bars] for average in self.averages], dtype=np.int64),
            np.array([[float(average.seed_divisor)] for average in self.averages]),
            np.array([[average.skip_bars] for average in self.averages], dtype=np.int64),
        )

    def blank(self, n_symbols: int) -> FloatArray:
        """Give the state before any bar: sums of nothing."""
        return np.zeros((len(self.averages), n_symbols))

    def step(
        self, state: FloatArray, rows: IntArray, count: IntArray, values: FloatArray
    ) -> FloatArray:
        """Take one value per column and row, (n_columns, n_rows) or (n_rows,); give averages.

        `count` (n_rows,) is each symbol's number of bars, this one included. The state is written
        in place. Until an average is seeded the answer is its unfinished sum: the catalogue's
        warm-up hides it. Values of skipped bars may be NaN.
        """
        weight, seed_bars, seed_divisor, skip_bars = self._columns
        before = state[:, rows]
        after = before + weight * (values - before)
        seeding = count <= skip_bars + seed_bars
        if seeding.any():
            age = count - skip_bars
            total = np.where(age < 1, 0.0, before + values)
            seed = np.where(age == seed_bars, total / seed_divisor, total)
            after = np.where(seeding, seed, after)
        state[:, rows] = after
        return after
