"""Sizing by hand, and tight for any account."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.portfolio.ledger import MONEY_SCALE
from models.portfolio.reservation import OpenOrder
from models.risk.sizing import budget_share, is_worth_trading, lots_for, lots_wanted, tilted
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


def test_tilt_when_weights_are_given_then_spreads_the_target() -> None:
    """Half of the weight of two is the plain target, three quarters are half as much again."""
    prices = {"AAA": 1.0, "BBB": 1.0}
    account = account_of(prices, parity={"AAA": 0.75, "BBB": 0.25})
    assert tilted(account, "AAA", 0.2) == pytest.approx(0.3)
    assert tilted(account, "BBB", 0.2) == pytest.approx(0.1)
    assert tilted(account_of(prices), "AAA", 0.2) == 0.2
    assert tilted(account_of(prices, parity={"AAA": 1.0}), "BBB", 0.2) == 0.0


def test_wanted_when_the_step_is_larger_than_an_order_then_is_asked_in_parts() -> None:
    """A quarter of 1000 by orders of a tenth: 100, 100, 50; a sale goes in one."""
    account = account_of({"AAA": 1.0}, limits=FREE._replace(max_order_fraction=0.1))
    asked = []
    for n in range(4):
        lots = lots_wanted(account, "AAA", 0.25)
        asked.append(lots)
        if lots:
            account.reserve(OpenOrder("AAA", lots, n))
    assert asked == [100, 100, 50, 0]
    held = account_of({"AAA": 1.0}, held={"AAA": 500}, limits=FREE._replace(max_order_fraction=0.1))
    assert lots_wanted(held, "AAA", 0.0) == -500
    few = account_of({"AAA": 1.0}, held={"AAA": 500}, limits=FREE._replace(max_order_lots=70))
    assert lots_wanted(few, "AAA", 0.0) == -70


def test_wanted_when_shorts_are_allowed_then_goes_below_flat() -> None:
    """From 100 long to 100 short is one change of 200; without the flags it ends at flat."""
    limits = FREE._replace(allow_short=True)
    account = account_of(
        {"AAA": 1.0}, cash=900, held={"AAA": 100}, limits=limits, shortable=frozenset({"AAA"})
    )
    assert lots_wanted(account, "AAA", -0.1) == -200
    assert lots_wanted(account_of({"AAA": 1.0}, held={"AAA": 100}), "AAA", -0.1) == -100


@pytest.mark.parametrize(
    ("targets", "limits", "expected"),
    [
        ([0.5, 0.5], {"max_net_fraction": 1.0}, 1.0),
        ([0.75, 0.75], {"max_net_fraction": 1.0}, 2 / 3),
        ([0.75, -0.5], {"max_net_fraction": 0.5}, 2 / 3),
        ([math.nan, 0.5], {"max_net_fraction": 0.25}, 0.5),
        ([math.nan, 0.0], {"max_net_fraction": 0.25}, 1.0),
    ],
)
def test_share_when_targets_exceed_the_net_limit_then_all_get_less(
    targets: list[float], limits: dict[str, float], expected: float
) -> None:
    """Long wishes together are at most what the account may be net long."""
    account = account_of({"AAA": 1.0, "BBB": 1.0}, limits=FREE._replace(**limits))
    found = budget_share(account, zip(("AAA", "BBB"), targets, strict=True))
    assert found == pytest.approx(expected)


def test_share_when_another_symbol_is_held_then_its_part_is_taken() -> None:
    """A quarter held of what has no target leaves three quarters of the limit."""
    account = account_of(
        {"AAA": 1.0, "BBB": 1.0},
        cash=750,
        held={"BBB": 250},
        limits=FREE._replace(max_net_fraction=1.0),
    )
    assert budget_share(account, [("AAA", 1.5)]) == pytest.approx(0.5)
    assert budget_share(account, [("AAA", 1.5), ("BBB", math.nan)]) == pytest.approx(0.5)
    account.book.cash = -250 * MONEY_SCALE
    assert budget_share(account, [("AAA", 1.5)]) == 1.0
