"""Averages begin as TA-Lib's do and ignore what stands before their beginning."""

import numpy as np
import talib

from models.features.smoothing import SmoothingBank, exponential, wilder


def run(bank: SmoothingBank, values: np.ndarray) -> np.ndarray:
    """Give a bank's answers, (n_columns, n_bars), for one symbol."""
    state = bank.blank(n_symbols=1)
    row = np.array([0])
    return np.concatenate(
        [
            bank.step(state, row, np.array([bar]), np.array([[value]]))
            for bar, value in enumerate(values, start=1)
        ],
        axis=1,
    )


def test_exponential_when_seeded_late_then_equals_talib_on_the_later_bars() -> None:
    """Skipped bars may even be NaN: the average begins as if they had not been."""
    values = np.random.default_rng(6).random(60)
    values[:14] = np.nan
    average = run(SmoothingBank((exponential(12, skip_bars=14),)), values)[0]
    np.testing.assert_allclose(average[25:], talib.EMA(values[14:].copy(), 12)[11:], rtol=1e-13)


def test_wilder_when_a_step_follows_the_seed_then_moves_by_one_part_in_its_period() -> None:
    """Of 4 changes of 2 the mean is 2; a fifth of 6 moves it a quarter of the way, to 3."""
    changes = np.array([np.nan, 2.0, 2.0, 2.0, 2.0, 6.0])
    average = run(SmoothingBank((wilder(4),)), changes)[0]
    assert average[4:].tolist() == [2.0, 3.0]
