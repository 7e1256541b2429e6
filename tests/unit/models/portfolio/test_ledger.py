"""The ledger against exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.portfolio.ledger import (
    MONEY_SCALE,
    PRICE_SCALE,
    Book,
    Fill,
    Position,
    fee_of,
    mark,
    positions_of,
    post,
    price_e8,
)

LOT = 10**8


def book(cash: int = 10**6, lot_size_e8: int = LOT) -> Book:
    """Open an account with whole units of cash and one or more symbols of one lot size."""
    return Book(cash * MONEY_SCALE, {"AAA": lot_size_e8, "BBB": lot_size_e8})


def fill(lots: int, price: float, fee: int = 0, symbol: str = "AAA") -> Fill:
    """Build a fill at a price in whole currency."""
    return Fill(symbol, lots, price_e8(price), fee)


class Oracle:
    """One symbol's account in fractions, by average cost.

    Parameters
    ----------
    lot
        Units per lot.
    """

    def __init__(self, lot: Fraction) -> None:
        self.lot = lot
        self.cash = Fraction(0)
        self.lots = 0
        self.average = Fraction(0)
        self.realised = Fraction(0)

    def trade(self, lots: int, price: Fraction) -> None:
        """Close what is opposite at its average price, open the rest."""
        self.cash -= lots * self.lot * price
        closing = 0
        if self.lots * lots < 0:
            closing = max(-abs(self.lots), -abs(lots))
            sign = 1 if self.lots > 0 else -1
            self.realised += sign * -closing * self.lot * (price - self.average)
            self.lots += sign * closing
            lots += sign * -closing
        if lots:
            held = abs(self.lots) * self.average + abs(lots) * price
            self.lots += lots
            self.average = held / abs(self.lots)
        elif not self.lots:
            self.average = Fraction(0)


FILLS = st.lists(
    st.tuples(
        st.integers(-1_000, 1_000).filter(bool),
        st.integers(1, 10**12),
        st.integers(0, 10**18),
    ),
    max_size=30,
)


@given(FILLS, st.sampled_from([1, LOT, 1000 * LOT]))
def test_post_when_long_short_and_flipped_then_agrees_with_fractions(
    fills: list[tuple[int, int, int]], lot_size_e8: int
) -> None:
    """Cash is exact; the result differs from average cost by less than a unit per fill."""
    account = book(0, lot_size_e8)
    oracle = Oracle(Fraction(lot_size_e8, LOT))
    fees = 0
    for lots, price, fee in fills:
        post(account, Fill("AAA", lots, price, fee))
        oracle.trade(lots, Fraction(price, PRICE_SCALE))
        fees += fee
        position = account.position("AAA")
        assert position.lots == oracle.lots
        assert account.fees == fees
        assert Fraction(account.cash + fees, MONEY_SCALE) == oracle.cash
        cost = Fraction(position.cost, MONEY_SCALE)
        rounding = Fraction(len(fills), MONEY_SCALE)
        assert abs(cost - oracle.lots * oracle.lot * oracle.average) <= rounding
        assert abs(Fraction(account.realised, MONEY_SCALE) - oracle.realised) <= rounding
        assert position.lots or position.cost == 0
        assert position.cost * position.lots >= 0


@given(FILLS)
def test_post_when_anything_was_traded_then_cash_and_positions_add_up(
    fills: list[tuple[int, int, int]],
) -> None:
    """Equity = opening cash + realised + unrealised - fees, exactly, after every fill."""
    account = book()
    for lots, price, fee in fills:
        post(account, Fill("AAA", lots, price, fee))
        position = account.position("AAA")
        position.price_e8 = price
        unrealised = account.notional("AAA", position.lots) - position.cost
        opening = 10**6 * MONEY_SCALE
        assert account.equity() == opening + account.realised + unrealised - account.fees
        assert account.equity() == account.cash + account.notional("AAA", position.lots)


@given(FILLS)
def test_positions_of_when_fills_are_summed_then_agree_with_the_book(
    fills: list[tuple[int, int, int]],
) -> None:
    """The second way to the same numbers needs nothing but the fills."""
    account = book()
    done = [Fill("AAA" if i % 2 else "BBB", n, p, f) for i, (n, p, f) in enumerate(fills)]
    for one in done:
        post(account, one)
    assert positions_of(done) == {s: p.lots for s, p in account.positions.items()}


def test_post_when_flipped_by_hand_then_books_the_result() -> None:
    """Long 10 at 100, sold 15 at 110: 100 earned, short 5 at 110."""
    account = book(1_000)
    post(account, fill(10, 100))
    assert account.cash == 0
    post(account, fill(-15, 110, fee=MONEY_SCALE))
    assert account.position("AAA") == Position(-5, -550 * MONEY_SCALE, 0)
    assert account.realised == 100 * MONEY_SCALE
    assert (account.cash, account.fees) == (1_649 * MONEY_SCALE, MONEY_SCALE)


def test_post_when_the_last_lot_goes_then_the_cost_is_exactly_zero() -> None:
    """Three lots for 10 in three sales: 3.33.. leaves twice, the rest with the last."""
    account = Book(0, {"AAA": 1})
    account.positions["AAA"] = Position(3, 10, 0)
    costs = []
    for _ in range(3):
        post(account, Fill("AAA", -1, 1, 0))
        costs.append(account.position("AAA").cost)
    assert costs == [7, 4, 0]
    assert account.realised == 3 - 10


@pytest.mark.parametrize(
    "wrong", [Fill("AAA", 0, 1, 0), Fill("AAA", 1, 0, 0), Fill("AAA", 1, -1, 0)]
)
def test_post_when_nothing_is_traded_or_for_nothing_then_refuses(wrong: Fill) -> None:
    """A fill has lots and a price; the book is untouched otherwise."""
    account = book()
    with pytest.raises(ModelError, match="fill of AAA"):
        post(account, wrong)
    assert account == book()


def test_mark_when_prices_come_then_equity_and_gross_follow() -> None:
    """Long 10 at 12 and short 5 at 20: net +20, gross 220."""
    account = book(1_000)
    account.positions = {"AAA": Position(10), "BBB": Position(-5)}
    mark(account, {"AAA": 12.0, "BBB": 20.0})
    assert account.equity() == 1_020 * MONEY_SCALE
    assert account.gross() == 220 * MONEY_SCALE
    mark(account, {"BBB": 10.0})
    assert account.equity() == 1_070 * MONEY_SCALE


@given(st.floats(1e-8, 1e10))
def test_price_when_rounded_then_is_what_a_consumer_would_read(price: float) -> None:
    """The printed decimal, rounded half to even to 1e-8; exact even where floats are sparse."""
    assert price_e8(price) == round(Fraction(repr(price)) * 10**8)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (0.00000001, 1),
        (0.000000005, 0),
        (0.000000015, 2),
        (1234567.123456785, 123456712345678),
        (9999999999.99, 999999999999000000),
        (1e10, 10**18),
    ],
)
def test_price_when_at_a_bound_then_is_the_decimal_number(price: float, expected: int) -> None:
    """Half a unit goes to the even side of the decimal, not of its binary neighbour."""
    assert price_e8(price) == expected


@pytest.mark.parametrize(
    ("notional", "bps", "fee"),
    [
        (10_000 * MONEY_SCALE, 0.5, MONEY_SCALE // 2),
        (0, 5.0, 0),
        (1, 0.5, 10**8),
        (123 * MONEY_SCALE, 0.0, 0),
        (2 * MONEY_SCALE, 0.0001, 2 * 10**8),
        (2 * MONEY_SCALE + 1, 0.0001, 3 * 10**8),
    ],
)
def test_fee_when_a_fraction_of_a_step_remains_then_is_rounded_up(
    notional: int, bps: float, fee: int
) -> None:
    """Fees are charged in steps of 1e-8, always against the account."""
    assert fee_of(notional, bps) == fee


@given(st.integers(0, 10**30), st.integers(0, 10**8))
def test_fee_when_any_then_is_the_smallest_step_that_covers_it(notional: int, bps_e4: int) -> None:
    """The fee covers notional times rate and is less than a step above it."""
    exact = Fraction(notional * bps_e4, 10**8)
    fee = fee_of(notional, bps_e4 / 10**4)
    assert fee % 10**8 == 0
    assert 0 <= fee - exact < 10**8
