"""Prices by hand: missing, stale, and too far from the last."""

import pytest

from models.portfolio.ledger import price_e8
from models.risk.controls import check
from models.risk.limits import UNBOUNDED_LOTS, Order
from models.risk.prices import collar, known_price
from tests.oracles import FREE, account_of

MINUTE = 60_000_000_000
LIMITS = FREE._replace(stale_bars=3, price_collar_fraction=0.1)


@pytest.mark.parametrize("lots", [1, -1])
def test_price_when_there_is_none_then_nothing_else_is_asked(lots: int) -> None:
    """Without a price no value can be told, so that is the only reason."""
    account = account_of({"AAA": 0.0}, held={"AAA": 5}, limits=LIMITS)
    breaches, allowed = check(account, Order("AAA", lots))
    assert ([b.code for b in breaches], allowed) == (["NO_PRICE"], 0)


@pytest.mark.parametrize(("age_ns", "is_fresh"), [(3 * MINUTE, True), (3 * MINUTE + 1, False)])
def test_price_when_older_than_three_bars_then_is_stale(age_ns: int, *, is_fresh: bool) -> None:
    """Three bars old is the limit itself, and passes; a reduction must have a price, too."""
    account = account_of({"AAA": 100.0}, held={"AAA": 5}, limits=LIMITS)
    account.kept.now_ns = age_ns
    for lots in (1, -1):
        breaches, allowed = check(account, Order("AAA", lots))
        assert [b.code for b in breaches] == ([] if is_fresh else ["STALE_PRICE"])
        assert bool(allowed) is is_fresh


def test_price_when_a_bar_comes_then_is_fresh_again() -> None:
    """The bar's close is the price's time."""
    account = account_of({"AAA": 100.0}, limits=LIMITS)
    account.advance(9 * MINUTE)
    assert known_price(account, Order("AAA", 1)).room_lots == 0
    account.mark(9 * MINUTE, {"AAA": 101.0})
    assert known_price(account, Order("AAA", 1)).room_lots == UNBOUNDED_LOTS


@pytest.mark.parametrize(
    ("price", "passes"),
    [(110.0, True), (90.0, True), (110.00000001, False), (89.99999999, False), (1.0, False)],
)
def test_collar_when_the_price_is_a_tenth_away_then_is_the_limit(
    price: float, *, passes: bool
) -> None:
    """A tenth above or below passes, one unit of the last decimal beyond it does not."""
    account = account_of({"AAA": 100.0}, held={"AAA": 5}, limits=LIMITS)
    for lots in (1, -1):
        breaches, _ = check(account, Order("AAA", lots, price_e8(price)))
        assert [b.code for b in breaches] == ([] if passes else ["PRICE_COLLAR"])


def test_collar_when_the_order_is_at_the_market_then_has_no_price_to_judge() -> None:
    """An order without a price is as near as can be."""
    finding = collar(account_of({"AAA": 100.0}, limits=LIMITS), Order("AAA", 1))
    assert (finding.actual, finding.room_lots) == (0.0, UNBOUNDED_LOTS)


def test_collar_when_broken_then_says_by_how_much() -> None:
    """Limit and actual value are in the reason."""
    finding = collar(account_of({"AAA": 100.0}, limits=LIMITS), Order("AAA", 1, price_e8(150.0)))
    assert (finding.limit, finding.actual, finding.room_lots) == (0.1, 0.5, 0)
    assert "150 is 0.5000 away from the last one, 100" in finding.message
