"""The order itself: value, quantity, rates, repetitions and duplicates, each at its bound."""

import pytest

from models.portfolio.ledger import price_e8
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.controls import check
from models.risk.flow import MINUTE_NS, SECOND_NS, Sent
from models.risk.limits import Order, RiskLimits
from models.risk.orders import order_quantity, order_value
from tests.oracles import FREE, account_of


def codes(account: Account, order: Order) -> list[str]:
    """Return the codes that an order breaks."""
    return [breach.code for breach in check(account, order)[0]]


def after(n_sent: int, limits: RiskLimits, *, at_ns: int = 0) -> Account:
    """Build an account that has sent so many orders of one lot of AAA by the strategy s."""
    account = account_of({"AAA": 1.0}, held={"AAA": 50}, limits=limits)
    for _ in range(n_sent):
        account.kept.flow.note(Sent(at_ns, "s", "AAA", 1, 0))
    return account


def test_value_when_a_tenth_of_equity_then_is_the_limit() -> None:
    """A tenth of 1000 is one lot of 100, and two are refused."""
    account = account_of({"AAA": 100.0}, limits=FREE._replace(max_order_fraction=0.1))
    assert check(account, Order("AAA", 1)) == ([], 1)
    finding = order_value(account, Order("AAA", 2))
    assert (finding.code, finding.limit, finding.actual, finding.room_lots) == (
        "MAX_ORDER_VALUE",
        0.1,
        0.2,
        1,
    )


@pytest.mark.parametrize(("price", "room"), [(50.0, 2), (100.0, 2), (101.0, 1)])
def test_value_when_the_order_has_a_price_then_the_higher_one_counts(
    price: float, room: int
) -> None:
    """A low limit price makes an order no smaller; a high one makes it larger."""
    account = account_of({"AAA": 100.0}, limits=FREE._replace(max_order_fraction=0.2))
    assert order_value(account, Order("AAA", 1, price_e8(price))).room_lots == room


def test_value_when_the_order_reduces_then_is_bound_by_what_is_held() -> None:
    """Five held of 100 in 1500: all may go at once, however small an order should be."""
    account = account_of(
        {"AAA": 100.0}, held={"AAA": 5}, limits=FREE._replace(max_order_fraction=0.1)
    )
    assert check(account, Order("AAA", -5)) == ([], 5)


@pytest.mark.parametrize("side", [1, -1])
def test_quantity_when_above_the_number_then_refuses_both_sides(side: int) -> None:
    """A slip of the hand is one in either direction."""
    account = account_of({"AAA": 1.0}, held={"AAA": 50}, limits=FREE._replace(max_order_lots=7))
    assert check(account, Order("AAA", 7 * side)) == ([], 7)
    assert codes(account, Order("AAA", 8 * side)) == ["MAX_ORDER_QUANTITY"]
    assert order_quantity(account, Order("AAA", 8 * side)).actual == 8


def test_rate_when_a_hundred_came_within_a_second_then_refuses_the_next() -> None:
    """The hundredth passes, the next does not, and a second later it does."""
    limits = FREE._replace(max_orders_per_second=100)
    assert codes(after(99, limits), Order("AAA", 1)) == []
    account = after(100, limits)
    assert codes(account, Order("AAA", 1)) == ["ORDER_RATE"]
    account.advance(SECOND_NS)
    assert codes(account, Order("AAA", 1)) == []


def test_rate_when_the_order_reduces_then_is_counted_and_passes() -> None:
    """What ends at flat by itself is not held up."""
    account = after(1, FREE._replace(max_orders_per_second=1, max_orders_per_day=1))
    assert codes(account, Order("AAA", -1)) == []
    account.reserve(OpenOrder("AAA", -1, 0))
    assert account.kept.flow.in_last_second() == 2


def test_day_when_its_orders_are_used_up_then_refuses_until_the_next() -> None:
    """The count begins anew with the day."""
    account = after(3, FREE._replace(max_orders_per_day=3))
    assert codes(account, Order("AAA", 1)) == ["ORDERS_PER_DAY"]
    account.advance(account.rules.bar_ns)
    assert codes(account, Order("AAA", 1)) == ["ORDERS_PER_DAY"]
    account.advance(2 * 86_400 * SECOND_NS)
    assert codes(account, Order("AAA", 1)) == []


@pytest.mark.parametrize(
    ("order", "is_repeat"),
    [
        (Order("AAA", 5, 0, "s"), True),
        (Order("AAA", 5, 0, "t"), False),
        (Order("BBB", 5, 0, "s"), False),
    ],
)
def test_repeats_when_ten_within_a_minute_then_stop_that_series(
    order: Order, *, is_repeat: bool
) -> None:
    """Ten of one strategy, symbol and side; another series goes on, and so does the next minute."""
    account = account_of({"AAA": 1.0, "BBB": 1.0}, limits=FREE._replace(max_repeats_per_minute=10))
    for n in range(10):
        account.kept.flow.note(Sent(n, "s", "AAA", 1, 0))
    assert codes(account, order) == (["REPEATED_ORDER"] if is_repeat else [])
    account.advance(MINUTE_NS)
    assert codes(account, order) == []


@pytest.mark.parametrize(
    ("order", "age_ms", "expected"),
    [
        (Order("AAA", 1), 999, ["DUPLICATE_ORDER"]),
        (Order("AAA", 1), 1_000, []),
        (Order("AAA", 2), 1, []),
        (Order("AAA", -1), 1, []),
        (Order("AAA", 1, 10**8), 1, []),
    ],
)
def test_duplicate_when_equal_within_a_second_then_is_refused(
    order: Order, age_ms: int, expected: list[str]
) -> None:
    """Symbol, side, quantity and price must all be equal, and the time near."""
    account = after(1, FREE._replace(duplicate_window_ms=1_000))
    account.advance(age_ms * 1_000_000)
    assert codes(account, order) == expected


def test_duplicate_when_a_reduction_is_sent_twice_then_is_refused() -> None:
    """A double click is one in either direction."""
    account = after(0, FREE._replace(duplicate_window_ms=1_000))
    account.kept.flow.note(Sent(0, "s", "AAA", -1, 0))
    assert codes(account, Order("AAA", -1)) == ["DUPLICATE_ORDER"]


def test_allowed_when_its_quantity_was_just_sent_then_is_one_lot_less() -> None:
    """What is allowed must pass as an order of its own, so it is no duplicate either."""
    limits = FREE._replace(duplicate_window_ms=1_000, max_order_lots=5)
    account = account_of({"AAA": 1.0}, limits=limits)
    account.kept.flow.note(Sent(0, "s", "AAA", 5, 0))
    breaches, allowed = check(account, Order("AAA", 9))
    assert ([b.code for b in breaches], allowed) == (["MAX_ORDER_QUANTITY"], 4)
    assert codes(account, Order("AAA", 4)) == []
    assert codes(account, Order("AAA", 5)) == ["DUPLICATE_ORDER"]


def test_rate_when_symbols_differ_then_counts_them_together() -> None:
    """A flood over many symbols is a flood."""
    limits = FREE._replace(max_orders_per_second=2)
    account = account_of({"AAA": 1.0, "BBB": 1.0}, limits=limits)
    for symbol in ("AAA", "BBB"):
        account.kept.flow.note(Sent(0, "s", symbol, 1, 0))
    assert codes(account, Order("BBB", 7, 0, "t")) == ["ORDER_RATE"]


def test_day_when_an_order_was_refused_then_is_not_counted() -> None:
    """What was refused never left; what was approved did."""
    account = after(0, FREE._replace(max_orders_per_day=1, max_order_lots=5))
    assert codes(account, Order("AAA", 9)) == ["MAX_ORDER_QUANTITY"]
    assert codes(account, Order("AAA", 1)) == []
    account.reserve(OpenOrder("AAA", 1, 0))
    assert codes(account, Order("AAA", 1)) == ["ORDERS_PER_DAY"]


def test_repeats_when_a_minute_has_passed_then_may_begin_again() -> None:
    """The order of a minute ago to the nanosecond counts no more."""
    account = after(2, FREE._replace(max_repeats_per_minute=2))
    account.advance(MINUTE_NS - 1)
    assert codes(account, Order("AAA", 1, 0, "s")) == ["REPEATED_ORDER"]
    account.advance(MINUTE_NS)
    assert codes(account, Order("AAA", 1, 0, "s")) == []
