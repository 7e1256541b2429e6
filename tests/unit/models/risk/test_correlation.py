"""Correlation against numpy, and its laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.risk.correlation import Centred, book_returns

SERIES = st.lists(st.integers(-1_000, 1_000), min_size=3, max_size=30)


@given(SERIES, st.data())
def test_correlation_when_both_vary_then_agrees_with_numpy(
    first: list[int], data: st.DataObject
) -> None:
    """Pearson's coefficient, symmetric and within plus and minus one."""
    second = data.draw(st.lists(st.integers(-9, 9), min_size=len(first), max_size=len(first)))
    a, b = np.array(first, np.float64), np.array(second, np.float64)
    found = Centred.of(a).correlation(Centred.of(b))
    assert -1.0 <= found <= 1.0
    assert found == Centred.of(b).correlation(Centred.of(a))
    if np.ptp(a) and np.ptp(b):
        assert found == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("second", "expected"), [([2.0, 4.0, 6.0], 1.0), ([3.0, 2.0, 1.0], -1.0), ([5.0] * 3, 0.0)]
)
def test_correlation_when_by_hand_then_is_known(second: list[float], expected: float) -> None:
    """A multiple moves together, a mirror against, a constant not at all."""
    first = Centred.of(np.array([1.0, 2.0, 3.0]))
    assert first.correlation(Centred.of(np.array(second))) == expected


def test_book_returns_when_weighted_then_sums_what_is_held() -> None:
    """Half a million up 1 % and a quarter down 2 % are 0 per bar; what is not held is not read."""
    window = np.array([[0.01, 0.02], [-0.02, 0.0], [math.inf, math.nan]])
    found = book_returns(window, np.array([500_000.0, 250_000.0, 0.0]))
    np.testing.assert_allclose(found, [0.0, 10_000.0], atol=1e-12)


def test_book_returns_when_nothing_is_held_then_are_zero() -> None:
    """An empty book does not move."""
    assert book_returns(np.ones((2, 3)), np.zeros(2)).tolist() == [0.0, 0.0, 0.0]


@given(st.lists(st.integers(-100, 100), min_size=5, max_size=5))
def test_book_returns_when_any_then_agree_with_a_matrix_product(held: list[int]) -> None:
    """Adding symbol after symbol gives what numpy's product gives."""
    window = np.random.default_rng(3).normal(size=(5, 40))
    weights = np.array(held, np.float64)
    np.testing.assert_allclose(book_returns(window, weights), weights @ window, atol=1e-10)
