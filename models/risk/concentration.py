"""How much may be held: one asset, one sector, all together, gross and net.

Open orders count as filled, in the way that is worst. All of it is integer arithmetic and exact;
the room is the largest quantity that keeps the limit, to the lot. A position that a price has moved
over its limit is no breach; it can only be reduced until it is below again.
"""

import math

from models.risk.account import FRACTION_SCALE, Account, scaled_limit
from models.risk.limits import Finding, Order


def asset_fraction(account: Account, order: Order) -> Finding:
    """Keep one asset below its share of equity."""
    limit, equity = account.limits.max_asset_fraction, account.equity
    reached, room = _reach(account, order, scaled_limit(limit) * max(equity, 0))
    form = "{about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_ASSET_FRACTION", form, limit, _share(reached, equity), room, order.symbol)


def sector_fraction(account: Account, order: Order) -> Finding:
    """Keep the assets of one sector, long and short added up, below its share of equity."""
    limit, equity = account.limits.max_sector_fraction, account.equity
    sector = account.exposure.sector(order.symbol)
    rest = account.exposure.by_sector.get(sector, 0) - _now(account, order)
    budget = scaled_limit(limit) * max(equity, 0) - rest * FRACTION_SCALE
    reached, room = _reach(account, order, budget)
    form = "sector {about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_SECTOR_FRACTION", form, limit, _share(rest + reached, equity), room, sector)


def leverage(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below the leverage limit times equity."""
    limit, equity = account.limits.max_leverage, account.equity
    rest = account.exposure.gross - _now(account, order)
    budget = scaled_limit(limit) * max(equity, 0) - rest * FRACTION_SCALE
    reached, room = _reach(account, order, budget)
    form = "gross exposure would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_LEVERAGE", form, limit, _share(rest + reached, equity), room)


def gross_exposure(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below its share of the equity with which the day began."""
    limit, capital = account.limits.max_gross_fraction, account.kept.day.open_equity
    rest = account.exposure.gross - _now(account, order)
    budget = scaled_limit(limit) * max(capital, 0) - rest * FRACTION_SCALE
    reached, room = _reach(account, order, budget)
    form = "gross exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    return Finding("MAX_GROSS_EXPOSURE", form, limit, _share(rest + reached, capital), room)


def net_exposure(account: Account, order: Order) -> Finding:
    """Keep longs less shorts, in the order's direction, below its share of that equity."""
    limit, capital = account.limits.max_net_fraction, account.kept.day.open_equity
    unit = account.book.notional(order.symbol, 1)
    direction, net = "long", account.exposure.up
    if order.lots < 0:
        direction, net = "short", -account.exposure.down
    actual = _share(net + abs(order.lots) * unit, capital)
    room = (scaled_limit(limit) * max(capital, 0) - net * FRACTION_SCALE) // (FRACTION_SCALE * unit)
    form = (
        "net {about} exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    )
    return Finding("MAX_NET_EXPOSURE", form, limit, actual, max(room, 0), direction)


def _now(account: Account, order: Order) -> int:
    """Return the worst value of the order's symbol without the order."""
    return abs(account.exposure.of(order.symbol).worst())


def _reach(account: Account, order: Order, budget: int) -> tuple[int, int]:
    """Return the worst value of the symbol once the order may have filled, and the room for lots.

    The room are the lots that keep the symbol's worst value within ``budget`` (money x 1e9).
    """
    _, up, down = account.exposure.of(order.symbol)
    unit = account.book.notional(order.symbol, 1)
    there, back = (up, abs(down)) if order.lots > 0 else (-down, abs(up))
    reached = max(abs(there + abs(order.lots) * unit), back)
    most = budget // (FRACTION_SCALE * unit)
    return reached, 0 if back > most * unit else max(most - there // unit, 0)


def _share(money: int, of_money: int) -> float:
    return money / of_money if of_money > 0 else math.inf
