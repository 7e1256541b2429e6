"""What is written down of an account behind a bar, by hand."""

import numpy as np
import pytest

from models.backtest.points import Orders, Points, utilised
from models.portfolio.ledger import MONEY_SCALE, PRICE_SCALE, Fill
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.decide import Executed
from models.risk.sessions import DAY_NS
from tests.oracles import account_of

EVEN = {"AAA": (0.5, 0.25, 0.25)}


def filled(account: Account, symbol: str, lots: int, price: float, fee: int = 0) -> Executed:
    """Book a fill of an order and return it."""
    fill = Fill(symbol, lots, round(price * PRICE_SCALE), fee * MONEY_SCALE)
    account.trade(fill)
    return Executed(OpenOrder(symbol, lots, 0), fill, lots)


def test_points_when_a_bar_trades_then_note_account_and_costs() -> None:
    """Ten lots at 101 with 1 % slippage: of 1,010 paid 10 were slippage; the fee was 5."""
    account = account_of({"AAA": 100.0}, cash=10_000)
    account.rules = account.rules._replace(slippage_bps=100.0)
    points = Points(account.equity)
    executed = filled(account, "AAA", 10, 101.0, fee=5)
    expired = Executed(OpenOrder("AAA", 3, 0), None, 3)
    points.fill(account, (executed, expired))
    points.note(account, 60, Orders(1, 2), EVEN)
    account.mark(120, {"AAA": 104.0})
    points.note(account, 120, Orders(0, 0), {})
    found = points.series()
    assert points.opened_with == 10_000.0
    assert found.close_ns.tolist() == [60, 120]
    assert found.cash.tolist() == [8_985.0, 8_985.0]
    assert found.equity.tolist() == [9_985.0, 10_025.0]
    assert found.gross.tolist() == found.net.tolist() == [1_000.0, 1_040.0]
    assert found.traded.tolist() == [1_010.0, 0.0]
    assert found.slippage.tolist() == [pytest.approx(10.0), 0.0]
    assert found.fees.tolist() == [5.0, 0.0]
    assert (found.bull.tolist(), found.bear.tolist()) == ([0.0, 20.0], [0.0, 10.0])
    assert (found.approved.tolist(), found.refused.tolist()) == ([1.0, 0.0], [2.0, 0.0])
    assert found.since(1).close_ns.tolist() == [120]


def test_points_when_a_venue_fills_then_no_slippage_is_invented() -> None:
    """What a venue's fill should have cost nobody knows."""
    account = account_of({"AAA": 100.0}, cash=10_000)
    account.rules = account.rules._replace(slippage_bps=100.0, is_external=True)
    points = Points(account.equity)
    points.fill(account, (filled(account, "AAA", 10, 101.0),))
    points.note(account, 60, Orders(0, 0), EVEN)
    assert points.series().slippage.tolist() == [0.0]
    assert points.series().traded.tolist() == [1_010.0]


def test_utilised_when_a_book_is_held_then_is_the_share_of_each_limit() -> None:
    """Held 20 of 100 on 10,000 in cash: equity 12,000, one sixth of it in one asset."""
    account = account_of(
        {"AAA": 100.0},
        cash=10_000,
        held={"AAA": 20},
        window=np.array([[0.0, 0.0, 0.0, -0.06]]),
    )
    account.limits = account.limits._replace(
        max_asset_fraction=0.5,
        max_sector_fraction=0.25,
        max_leverage=2.0,
        max_gross_fraction=1.0,
        max_net_fraction=0.5,
        max_daily_loss_fraction=0.5,
    )
    account.kept.day.open_equity = 16_000 * MONEY_SCALE
    share = 2_000 / 12_000
    found = utilised(account)
    assert found[:3] == pytest.approx((share / 0.5, share / 0.25, share / 2.0))
    assert found[3:5] == pytest.approx((2_000 / 16_000, 2_000 / 16_000 / 0.5))
    assert found[6] == pytest.approx(0.25 / 0.5)


def test_utilised_when_there_is_no_equity_then_is_nothing() -> None:
    """A share of nothing is told as 0."""
    account = account_of({"AAA": 100.0}, cash=0)
    account.advance(DAY_NS)
    assert set(utilised(account)) == {0.0}
