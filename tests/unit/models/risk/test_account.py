"""What the controls see of an account, by hand."""

import math

import numpy as np
import pytest

from models.portfolio.ledger import MONEY_SCALE, Book, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.account import Account, scaled
from models.risk.limits import RiskLimits
from tests.oracles import account_of

LIMITS = RiskLimits(0.25, 1.5, 0.8, 4, 0.005)


def test_account_when_orders_are_open_then_counts_buys_and_not_sells() -> None:
    """Held 10, buying 5, selling 4: the worst case upwards is 15 lots at 100 = 1500."""
    account = account_of(
        {"AAA": 100.0}, held={"AAA": 10}, orders=[("AAA", 5), ("AAA", -4)], limits=LIMITS
    )
    assert account.exposed == {"AAA": 15}
    assert account.gross == 1_500 * MONEY_SCALE
    assert account.weights.tolist() == [1_500.0]


def test_reserve_when_a_buy_is_approved_then_counts_at_once() -> None:
    """Exposure, gross, weight and the book's returns grow by the order; a sell adds nothing."""
    window = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, np.nan, 0.0]])
    account = account_of({"AAA": 100.0, "BBB": 10.0}, held={"AAA": 1}, limits=LIMITS, window=window)
    account.reserve(OpenOrder("BBB", 5, 60))
    assert account.exposed == {"AAA": 1, "BBB": 5}
    assert account.gross == 150 * MONEY_SCALE
    np.testing.assert_allclose(account.book_returns, [60.0, 20.0, 30.0, 40.0])
    account.reserve(OpenOrder("AAA", -1, 60))
    assert account.gross == 150 * MONEY_SCALE
    assert [order.lots for order in account.reservations.orders] == [5, -1]


def test_rest_when_a_symbol_is_taken_out_then_is_what_the_others_earned() -> None:
    """The book without AAA earns what BBB earns."""
    window = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    account = account_of(
        {"AAA": 100.0, "BBB": 100.0}, held={"AAA": 2, "BBB": 3}, limits=LIMITS, window=window
    )
    np.testing.assert_allclose(account.rest_returns("AAA"), 300 * window[1])
    assert not account.is_alone("AAA")


def test_is_alone_when_nothing_else_is_exposed_then_says_so() -> None:
    """An empty book, and a book of the symbol itself, have no rest."""
    prices = {"AAA": 100.0, "BBB": 100.0}
    assert account_of(prices, limits=LIMITS).is_alone("AAA")
    held = account_of(prices, held={"AAA": 1}, limits=LIMITS)
    assert held.is_alone("AAA")
    assert not held.is_alone("BBB")


def test_seen_when_bars_are_missing_then_counts_the_others() -> None:
    """NaN is no return; for sums it counts as no move."""
    account = account_of({"AAA": 1.0}, limits=LIMITS, window=np.array([[np.nan, 0.1, np.nan, 0.2]]))
    assert account.seen.tolist() == [2]
    assert account.returns.tolist() == [[0.0, 0.1, 0.0, 0.2]]


@pytest.mark.parametrize(("cash", "expected"), [(0, math.inf), (-5, math.inf), (400, 0.25)])
def test_of_equity_when_there_is_none_then_is_infinite(cash: int, expected: float) -> None:
    """A hundred is a quarter of four hundred, and any amount is too much of nothing."""
    account = account_of({"AAA": 1.0}, cash=cash, limits=LIMITS)
    assert account.of_equity(100 * MONEY_SCALE) == expected


def test_account_when_made_then_the_book_has_the_same_value() -> None:
    """Looking at an account changes neither cash nor positions held."""
    book = Book(100 * MONEY_SCALE, {"AAA": 10**8}, {"AAA": Position(1, 5, 7)})
    equity = book.equity()
    Account(book, Reservations(), LIMITS, ("AAA",), np.full((1, 4), np.nan))
    assert book.equity() == equity
    assert book.positions == {"AAA": Position(1, 5, 7)}


def test_scaled_when_a_fraction_is_given_then_is_in_billionths() -> None:
    """A third of a billionth is rounded away, a quarter is exact."""
    assert (scaled(0.25), scaled(1e-9), scaled(3e-10), scaled(1.5)) == (
        250_000_000,
        1,
        0,
        1_500_000_000,
    )
