"""The account by hand: exposure, days and scenarios follow every change."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.portfolio.ledger import MONEY_SCALE, Fill
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account, open_account, scaled
from models.risk.limits import Order
from models.risk.sessions import DAY_NS, Sessions, day_of
from tests.oracles import FREE, account_of, rules_of

SYMBOLS = ("AAA", "BBB", "CCC")


def test_account_when_orders_are_open_then_counts_the_worst_of_both_sides() -> None:
    """Held 10, buying 5, selling 4: the worst case is 15 lots at 100 = 1500."""
    account = account_of({"AAA": 100.0}, held={"AAA": 10}, orders=[("AAA", 5), ("AAA", -4)])
    stake = account.exposure.of("AAA")
    assert stake == (1_000 * MONEY_SCALE, 1_500 * MONEY_SCALE, 600 * MONEY_SCALE)
    assert account.exposure.gross == 1_500 * MONEY_SCALE
    assert account.scenarios.weights.tolist() == [1_500.0]


def test_reserve_when_a_buy_is_approved_then_counts_at_once() -> None:
    """Exposure, gross, weight and scenarios grow by the order; a sell adds nothing."""
    window = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, np.nan, 0.0]])
    account = account_of({"AAA": 100.0, "BBB": 10.0}, held={"AAA": 1}, window=window)
    account.reserve(OpenOrder("BBB", 5, 60))
    assert account.exposure.gross == 150 * MONEY_SCALE
    np.testing.assert_allclose(account.scenarios.earned, [60.0, 20.0, 30.0, 40.0])
    account.reserve(OpenOrder("AAA", -1, 60))
    assert account.exposure.gross == 150 * MONEY_SCALE
    assert [order.lots for order in account.reservations.orders] == [5, -1]
    assert account.kept.flow.n_today == 2


@pytest.mark.parametrize(("cash", "expected"), [(0, math.inf), (-5, math.inf), (400, 0.25)])
def test_of_equity_when_there_is_none_then_is_infinite(cash: int, expected: float) -> None:
    """A hundred is a quarter of four hundred, and any amount is too much of nothing."""
    account = account_of({"AAA": 1.0}, cash=cash)
    assert account.of_equity(100 * MONEY_SCALE) == expected


def test_advance_when_a_day_begins_then_its_equity_is_kept() -> None:
    """A day begins with the equity that the last one ended with; time never goes back."""
    account = account_of({"AAA": 100.0}, held={"AAA": 1})
    account.advance(DAY_NS)
    assert account.kept.day.number == 0
    account.mark(DAY_NS, {"AAA": 50.0})
    assert account.kept.day.open_equity == 1_100 * MONEY_SCALE
    account.advance(DAY_NS + 1)
    account.advance(5)
    assert (account.kept.day.number, account.kept.now_ns) == (1, DAY_NS + 1)
    assert account.kept.day.open_equity == 1_050 * MONEY_SCALE
    assert account.kept.day.peak_equity == 1_100 * MONEY_SCALE


def test_adopt_when_sectors_change_then_exposure_is_grouped_anew() -> None:
    """A new epoch may move a symbol to another sector; limits set by records stay."""
    account = account_of({"AAA": 100.0}, held={"AAA": 2}, sectors={"AAA": "old"})
    account.kept.changed["max_leverage"] = 0.5
    account.adopt(account.rules._replace(sectors={"AAA": "new"}))
    assert account.exposure.by_sector == {"new": 200 * MONEY_SCALE}
    assert account.limits.max_leverage == 0.5


@pytest.mark.parametrize(
    "hours",
    [
        None,
        Sessions((99 * DAY_NS, 100 * DAY_NS), (99 * DAY_NS + 1, 100 * DAY_NS + 1)),
        Sessions(
            tuple(n * DAY_NS for n in range(90, 101)), tuple(n * DAY_NS + 1 for n in range(90, 101))
        ),
    ],
)
def test_adopt_when_the_calendar_counts_otherwise_then_the_next_day_begins(
    hours: Sessions | None,
) -> None:
    """A stretch that begins a year later counts from one again; the stop must not stay for good."""
    account = account_of(
        {"AAA": 100.0},
        day=Sessions(
            tuple(n * DAY_NS for n in range(101)), tuple(n * DAY_NS + 1 for n in range(101))
        ),
    )
    account.advance(99 * DAY_NS + 5)
    account.kept.memory.ids["k"] = account.kept.memory.day
    account.book.cash -= 500 * MONEY_SCALE
    account.adopt(account.rules._replace(day=hours))
    assert account.kept.day.open_equity == 1_000 * MONEY_SCALE
    account.advance(99 * DAY_NS + 9)
    assert account.kept.day.open_equity == 1_000 * MONEY_SCALE
    account.advance(100 * DAY_NS + 5)
    assert account.kept.day.open_equity == 500 * MONEY_SCALE
    assert account.kept.memory.is_known("k")
    assert not account.kept.memory.is_forgotten(day_of(hours, 100 * DAY_NS + 5))


def test_verify_when_the_book_is_changed_behind_its_back_then_halts() -> None:
    """A lot that no execution explains stops the account."""
    account = account_of({"AAA": 100.0}, held={"AAA": 1})
    assert account.verify() == []
    account.book.position("AAA").lots += 1
    assert account.verify() == ["AAA is 2 lots, executions say 1"]
    thrown = account.kept.switches.on("any", "any")
    assert thrown is not None
    assert (thrown[0], thrown[1].state) == ("portfolio", "HALTED")
    assert thrown[1].reason.startswith("BOOK_MISMATCH")


@pytest.mark.parametrize(
    ("held", "orders", "lots", "expected"),
    [
        (5, [], -1, 5),
        (5, [-2], -1, 3),
        (5, [3], -1, 5),
        (5, [], 1, 0),
        (-5, [], 1, 5),
        (-5, [2], 9, 3),
        (-5, [], -1, 0),
        (0, [4], -1, 0),
    ],
)
def test_reducible_when_something_is_held_then_is_what_would_bring_it_back(
    held: int, orders: list[int], lots: int, expected: int
) -> None:
    """Open orders of the same side take from it; those of the other side may never fill."""
    account = account_of(
        {"AAA": 1.0}, held={"AAA": held}, orders=[("AAA", lots) for lots in orders]
    )
    assert account.reducible(Order("AAA", lots)) == expected


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "trade", "mark", "release"]),
        st.sampled_from(SYMBOLS),
        st.integers(1, 50),
    ),
    max_size=30,
)


@given(ACTS)
def test_account_when_anything_happened_then_equals_one_made_anew(
    acts: list[tuple[str, str, int]],
) -> None:
    """Running sums are those of a fresh look at book and open orders; scenarios to rounding."""
    account = open_account(
        10**6 * MONEY_SCALE, dict.fromkeys(SYMBOLS, 10**8), rules_of(SYMBOLS, FREE)
    )
    account.mark(1, dict.fromkeys(SYMBOLS, 100.0))
    for n, (act, symbol, lots) in enumerate(acts):
        _act(account, act, symbol, lots, n)
    fresh = Account(account.kept, account.rules)
    assert all(account.exposure.of(s) == fresh.exposure.of(s) for s in SYMBOLS)
    for name in ("held", "gross", "up", "down"):
        assert getattr(account.exposure, name) == getattr(fresh.exposure, name)
    assert account.equity == account.book.equity()
    assert {k: v for k, v in account.exposure.by_sector.items() if v} == {
        k: v for k, v in fresh.exposure.by_sector.items() if v
    }
    np.testing.assert_allclose(account.scenarios.earned, fresh.scenarios.earned, atol=1e-6)
    assert account.verify() == []


def _act(account: Account, act: str, symbol: str, lots: int, n: int) -> None:
    if act in {"buy", "sell"}:
        signed = lots if act == "buy" else -lots
        account.reserve(OpenOrder(symbol, signed, n, order_id=str(n)))
    elif act == "trade":
        account.trade(Fill(symbol, lots - 25 or 1, 10**10 + lots, lots))
    elif act == "mark":
        account.mark(n + 2, {symbol: 100.0 + lots})
    elif account.reservations.orders:
        account.release(account.reservations.orders[0])


def test_scaled_when_a_fraction_is_given_then_is_in_billionths() -> None:
    """A third of a billionth is rounded away, a quarter is exact."""
    assert (scaled(0.25), scaled(1e-9), scaled(3e-10), scaled(1.5)) == (
        250_000_000,
        1,
        0,
        1_500_000_000,
    )
