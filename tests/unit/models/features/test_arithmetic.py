"""The arithmetic on windows: its order is fixed, its edge cases are defined."""

from decimal import Decimal, localcontext
from math import fsum

import numpy as np
import pytest

from models.features.arithmetic import above_noise, centred, deviation, log, ratio, window_sum


def test_log_when_compared_with_thirty_digits_then_is_right_to_the_last_bits() -> None:
    """Price ratios of all sizes, and those a hair from 1, where returns are small."""
    draw = np.random.default_rng(3)
    ratios = np.concatenate(
        (
            np.exp(draw.normal(0.0, 0.02, 2_000)),
            1.0 + draw.normal(0.0, 1.0, 500) * 10.0 ** draw.uniform(-15.0, -3.0, 500),
            10.0 ** draw.uniform(-12.0, 12.0, 500),
        )
    )
    with localcontext(prec=30):
        exact = [float(Decimal(value).ln()) for value in ratios.tolist()]
    np.testing.assert_allclose(log(ratios), exact, rtol=5e-16)
    assert np.isnan(log(np.array([np.nan]))).all()


@pytest.mark.parametrize("n_bars", [1, 2, 5, 21, 63, 64])
def test_window_sum_when_rows_come_alone_or_together_then_gives_the_same_bits(n_bars: int) -> None:
    """Neither the number of rows nor the memory layout may reorder an addition."""
    table = np.random.default_rng(1).lognormal(0.0, 4.0, (n_bars, 200))
    together = window_sum(table)
    alone = np.concatenate([window_sum(table[:, row : row + 1]) for row in range(200)])
    transposed = window_sum(np.ascontiguousarray(table.T).T)
    assert together.tobytes() == alone.tobytes() == transposed.tobytes()
    exact = [fsum(table[:, row]) for row in range(200)]
    np.testing.assert_allclose(together, exact, rtol=1e-15)


def test_window_sum_when_the_window_is_odd_then_leaves_its_input_untouched() -> None:
    """The last of an odd number is added to a copy."""
    table = np.ones((7, 3))
    window_sum(table)
    assert (table == 1.0).all()


def test_deviation_when_the_values_are_far_from_zero_then_does_not_cancel() -> None:
    """Of 1e9, 1e9 + 1 and 1e9 + 2 the sample deviation is 1 to the last bit."""
    values = 1e9 + np.array([[0.0], [1.0], [2.0]])
    assert deviation(centred(values), ddof=1).tolist() == [1.0]


def test_above_noise_when_a_constant_is_not_representable_then_gives_zero() -> None:
    """The mean of twenty times 0.1 is not 0.1; what remains is rounding, not spread."""
    spread = deviation(centred(np.full((20, 1), 0.1)), ddof=0)
    assert above_noise(spread, np.array([0.1])).tolist() == [0.0]


def test_ratio_when_the_denominator_is_zero_then_gives_the_neutral_value() -> None:
    """NaN stays NaN: it is missing, not neutral."""
    quotient = ratio(np.array([1.0, 0.0, 1.0]), np.array([2.0, 0.0, np.nan]), neutral=7.0)
    np.testing.assert_array_equal(quotient, [0.5, 7.0, np.nan])
