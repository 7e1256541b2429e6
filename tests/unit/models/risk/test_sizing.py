"""Sizing by hand, and tight for any account."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.risk.sizing import is_worth_trading, lots_for
from tests.oracles import FREE, account_of

LIMITS = FREE


@pytest.mark.parametrize(
    ("fraction", "lots"),
    [(0.25, 2), (0.3, 3), (0.2999, 2), (-0.25, -2), (0.0, 0), (-0.0, 0), (1.5, 15)],
)
def test_lots_when_equity_is_1000_and_a_lot_is_100_then_are_cut_toward_zero(
    fraction: float, lots: int
) -> None:
    """A quarter of 1000 buys two lots of 100, never three."""
    account = account_of({"AAA": 100.0}, limits=LIMITS)
    assert lots_for(account, "AAA", fraction) == lots


@pytest.mark.parametrize("fraction", [math.nan, math.inf, -math.inf])
def test_lots_when_the_target_is_no_number_then_are_none(fraction: float) -> None:
    """A target that warms up asks for nothing."""
    assert lots_for(account_of({"AAA": 100.0}, limits=LIMITS), "AAA", fraction) == 0


@pytest.mark.parametrize("cash", [0, -1_000])
def test_lots_when_there_is_no_equity_then_are_none(cash: int) -> None:
    """A share of nothing is nothing, and no division by it."""
    assert lots_for(account_of({"AAA": 100.0}, cash=cash, limits=LIMITS), "AAA", 0.5) == 0


def test_lots_when_the_symbol_has_no_price_then_are_none() -> None:
    """A symbol that never traded cannot be sized."""
    assert lots_for(account_of({"AAA": 0.0}, limits=LIMITS), "AAA", 0.5) == 0


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.integers(-2_000, 2_000))
def test_lots_when_any_then_are_the_most_that_the_target_pays(
    cash: int, cents: int, per_mille: int
) -> None:
    """One lot more would exceed the target's share of equity."""
    account = account_of({"AAA": cents / 100}, cash=cash, limits=LIMITS)
    lots = lots_for(account, "AAA", per_mille / 1_000)
    wanted = Fraction(abs(per_mille), 1_000) * cash
    assert abs(lots) * Fraction(cents, 100) <= wanted < (abs(lots) + 1) * Fraction(cents, 100)
    assert lots * per_mille >= 0


@pytest.mark.parametrize(
    ("lots", "worth"), [(0, False), (1, False), (4, False), (5, True), (-5, True)]
)
def test_worth_when_at_the_bound_then_counts(lots: int, worth: bool) -> None:  # noqa: FBT001  the expected value
    """Half a per cent of 1000 is five lots of 1."""
    account = account_of({"AAA": 1.0}, limits=LIMITS)
    assert is_worth_trading(account, "AAA", lots, 0.005) is worth
