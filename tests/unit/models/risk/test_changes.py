"""Openings, splits and dividends: money is neither made nor lost, and the witness agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Refused
from models.portfolio.ledger import MONEY_SCALE, Position
from models.portfolio.reservation import OpenOrder
from models.risk.changes import Opening, dividend, open_book, split
from tests.oracles import account_of


def test_open_when_positions_are_stated_then_replace_what_was_there() -> None:
    """Three AAA bought at 90, marked at 100, and 50 of cash: 350, with 30 unrealised."""
    account = account_of({"AAA": 100.0, "BBB": 10.0}, held={"BBB": 7})
    open_book(account, 50 * MONEY_SCALE, [Opening("AAA", 3, 90 * 10**8)])
    assert account.book.positions["AAA"] == Position(3, 270 * MONEY_SCALE, 100 * 10**8)
    assert account.book.position("BBB").lots == 0
    assert account.equity == account.kept.day.open_equity == 350 * MONEY_SCALE
    assert account.kept.day.peak_equity == 350 * MONEY_SCALE
    assert account.verify() == []


def test_open_when_there_is_no_price_yet_then_is_valued_at_cost() -> None:
    """Before the first bar the cost is the best that is known."""
    account = account_of({"AAA": 0.0})
    open_book(account, 0, [Opening("AAA", 2, 5 * 10**8)])
    assert account.equity == 10 * MONEY_SCALE


def test_open_when_orders_are_open_then_is_refused() -> None:
    """They were approved against another book."""
    account = account_of({"AAA": 1.0}, orders=[("AAA", 1)])
    with pytest.raises(Refused, match="ORDERS_OPEN"):
        open_book(account, 5, [])
    assert account.equity == 1_000 * MONEY_SCALE


@pytest.mark.parametrize(
    ("held", "new", "old", "lots", "price", "cash"),
    [(10, 4, 1, 40, 25.0, 0), (10, 1, 4, 2, 400.0, 200), (-10, 1, 4, -2, 400.0, -200)],
)
def test_split_when_made_then_lots_and_price_follow(
    held: int, new: int, old: int, lots: int, price: float, cash: int
) -> None:
    """Four for one, and one for four, where half a lot is paid at the new price."""
    account = account_of({"AAA": 100.0}, held={"AAA": held})
    account.book.position("AAA").cost = held * 100 * MONEY_SCALE
    before = account.equity
    split(account, "AAA", new, old)
    assert account.book.position("AAA").lots == lots
    assert account.book.position("AAA").price_e8 == round(price * 10**8)
    assert account.book.cash == (1_000 + cash) * MONEY_SCALE
    assert account.kept.last_close[0] == pytest.approx(price)
    assert account.equity == before
    assert account.verify() == []


@given(st.integers(-1_000, 1_000), st.integers(1, 50), st.integers(1, 50))
def test_split_when_any_then_equity_is_the_same_to_the_last_unit(
    held: int, new: int, old: int
) -> None:
    """What lots and prices cannot hold is paid in cash; a flat position has cost nothing."""
    account = account_of({"AAA": 33.33}, held={"AAA": held})
    account.book.position("AAA").cost = held * 33 * MONEY_SCALE
    before = account.equity
    split(account, "AAA", new, old)
    assert account.equity == account.book.equity() == before
    position = account.book.position("AAA")
    assert position.lots or position.cost == 0
    assert account.verify() == []


def test_split_when_orders_are_open_then_those_of_the_symbol_end() -> None:
    """Lots that are no more cannot be traded; other symbols' orders go on."""
    account = account_of({"AAA": 1.0, "BBB": 1.0}, held={"AAA": 5})
    for symbol in ("AAA", "BBB"):
        account.reserve(OpenOrder(symbol, 2, 0, order_id=symbol))
    (ended,) = split(account, "AAA", 2, 1).executions
    assert (ended.order.order_id, ended.fill, ended.lots, ended.venue_kind) == (
        "AAA",
        None,
        2,
        "split",
    )
    assert [order.symbol for order in account.reservations.orders] == ["BBB"]


def test_split_when_the_price_is_the_least_there_is_then_the_last_close_is_it_too() -> None:
    """Rounded down again and again it stays 1e-8; a close that grew would end in no return."""
    account = account_of({"AAA": 1e-8})
    for _ in range(1_100):
        split(account, "AAA", 5_000, 9_999)
    assert account.kept.last_close.tolist() == [1e-8]


@pytest.mark.parametrize(("held", "cash"), [(10, 1_005), (-10, 995), (0, 1_000)])
def test_dividend_when_paid_then_who_is_short_pays(held: int, cash: int) -> None:
    """Half a dollar for each of ten."""
    account = account_of({"AAA": 100.0}, held={"AAA": held})
    dividend(account, "AAA", 5 * 10**7)
    assert account.book.cash == cash * MONEY_SCALE
    assert account.book.realised == (cash - 1_000) * MONEY_SCALE
    assert account.verify() == []


@pytest.mark.parametrize(
    ("lots", "price", "new", "old"),
    [(2**52 + 1, 1.0, 2, 1), (0, 6e9, 1, 2), (0, 1e10, 9_999, 10_000)],
)
def test_split_when_more_would_be_left_than_can_be_counted_then_is_refused(
    lots: int, price: float, new: int, old: int
) -> None:
    """Twice 2**52 + 1 lots are more than 2**53; the highest price is 1e10."""
    account = account_of({"AAA": price}, held={"AAA": lots})
    with pytest.raises(Refused, match="BAD_RATIO"):
        split(account, "AAA", new, old)
    assert account.book.position("AAA").lots == lots


def test_split_when_nothing_would_be_left_of_the_price_then_is_refused() -> None:
    """A price of 1e-8 has no half."""
    account = account_of({"AAA": 1e-8}, held={"AAA": 5})
    with pytest.raises(Refused, match="BAD_RATIO"):
        split(account, "AAA", 2, 1)
    assert account.book.position("AAA").lots == 5
