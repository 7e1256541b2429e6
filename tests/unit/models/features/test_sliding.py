"""Sliding sums and maxima stay exact, whatever passed through the window."""

from math import fsum

import numpy as np

from models.features.sliding import SlidingBank


def test_sliding_sum_when_huge_values_have_passed_then_is_exact_for_ever() -> None:
    """After 20,000 bars with spikes of 1e15 each sum is within 1e-14 of its exact value.

    A running sum that subtracts would carry each spike's rounding, here up to 0.1 on sums of 1.
    """
    draw = np.random.default_rng(4)
    values = draw.random(20_000)
    values[draw.random(20_000) < 0.002] = 1e15
    bank = SlidingBank(np.add, (5, 63))
    state = bank.blank(n_symbols=1)
    row = np.array([0])
    for bar, value in enumerate(values, start=1):
        sums = bank.step(state, row, np.array([bar]), np.full((2, 1), value))
        if bar % 97 == 0:
            exact = [fsum(values[bar - 5 : bar]), fsum(values[bar - 63 : bar])]
            np.testing.assert_allclose(sums[:, 0], exact, rtol=1e-14)


def test_sliding_maximum_when_symbols_stand_at_different_bars_then_equals_the_window() -> None:
    """Each symbol's window is cut by its own bars; a full window is NaN before it is full."""
    draw = np.random.default_rng(5)
    bank = SlidingBank(np.maximum, (1, 4, 7))
    state = bank.blank(n_symbols=3)
    pasts: list[list[float]] = [[], [], []]
    for _ in range(60):
        rows = np.flatnonzero(draw.random(3) < 0.7)
        values = draw.random(len(rows))
        for row, value in zip(rows, values, strict=True):
            pasts[row].append(value)
        count = np.array([len(pasts[row]) for row in rows], dtype=np.int64)
        highest = bank.step(state, rows, count, np.tile(values, (3, 1)))
        expected = [
            [max(pasts[row][-n:]) if len(pasts[row]) >= n else np.nan for n in (1, 4, 7)]
            for row in rows
        ]
        np.testing.assert_array_equal(highest, np.array(expected).reshape(-1, 3).T)
