"""Paper fills by hand."""

import math

import pytest

from models.execution.fills import paper_fill, price_of
from models.portfolio.ledger import MONEY_SCALE, Book, Fill
from models.portfolio.reservation import OpenOrder

BOOK = Book(0, {"AAA": 10**8, "LOTS": 100 * 10**8})


@pytest.mark.parametrize(
    ("lots", "price_e8"), [(10, 100_01000000), (-10, 99_99000000)], ids=["buy", "sell"]
)
def test_fill_when_a_price_is_offered_then_slips_against_it(lots: int, price_e8: int) -> None:
    """One basis point of 100 is a cent: up for a buy, down for a sell."""
    fill = paper_fill(BOOK, OpenOrder("AAA", lots, 0), 100.0, slippage_bps=1.0, fee_bps=0.0)
    assert fill == Fill("AAA", lots, price_e8, 0)
    assert price_of(fill) == price_e8 / 10**8


def test_fill_when_a_fee_is_due_then_is_on_the_absolute_notional() -> None:
    """Selling 3 lots of 100 at 50 is a notional of 15000; 2 bps of it are 3."""
    fill = paper_fill(BOOK, OpenOrder("LOTS", -3, 0), 50.0, slippage_bps=0.0, fee_bps=2.0)
    assert fill is not None
    assert fill.fee == 3 * MONEY_SCALE


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf])
def test_fill_when_the_bar_offers_no_price_then_there_is_none(price: float) -> None:
    """No trade that the order could have met is no fill."""
    assert paper_fill(BOOK, OpenOrder("AAA", 1, 0), price, slippage_bps=1.0, fee_bps=1.0) is None


def test_fill_when_slippage_would_give_the_asset_away_then_costs_the_smallest_price() -> None:
    """A sell never books at a price of zero."""
    fill = paper_fill(BOOK, OpenOrder("AAA", -1, 0), 5.0, slippage_bps=10_000.0, fee_bps=0.0)
    assert fill is not None
    assert fill.price_e8 == 1
