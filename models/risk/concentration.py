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
    limit = account.limits.max_asset_fraction
    actual, room = _fit(account, order, None, limit, account.equity)
    form = "{about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_ASSET_FRACTION", form, limit, actual, room, order.symbol)


def sector_fraction(account: Account, order: Order) -> Finding:
    """Keep the assets of one sector, long and short added up, below its share of equity."""
    limit, exposure = account.limits.max_sector_fraction, account.exposure
    sector = exposure.sector(order.symbol)
    total = exposure.by_sector.get(sector, 0)
    actual, room = _fit(account, order, total, limit, account.equity)
    form = "sector {about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_SECTOR_FRACTION", form, limit, actual, room, sector)


def leverage(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below the leverage limit times equity."""
    limit = account.limits.max_leverage
    actual, room = _fit(account, order, account.exposure.gross, limit, account.equity)
    form = "gross exposure would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_LEVERAGE", form, limit, actual, room)


def gross_exposure(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below its share of the equity with which the day began."""
    limit, capital = account.limits.max_gross_fraction, account.kept.day.open_equity
    actual, room = _fit(account, order, account.exposure.gross, limit, capital)
    form = "gross exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    return Finding("MAX_GROSS_EXPOSURE", form, limit, actual, room)


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


def _fit(
    account: Account, order: Order, total: int | None, limit: float, capital: int
) -> tuple[float, int]:
    """Return the share of ``capital`` that is reached if the order fills, and the room in lots.

    ``total`` is the worst value now of all that shares the limit, the order's symbol among it; None
    where the symbol has a limit of its own. The room keeps the worst value within the limit.
    """
    stake, unit = account.exposure.of(order.symbol), account.book.notional(order.symbol, 1)
    there, back = (stake.up, abs(stake.down)) if order.lots > 0 else (-stake.down, abs(stake.up))
    rest = 0 if total is None else total - abs(stake.worst())
    reached = rest + max(abs(there + abs(order.lots) * unit), back)
    budget = scaled_limit(limit) * max(capital, 0) - rest * FRACTION_SCALE
    most = budget // (FRACTION_SCALE * unit)
    return _share(reached, capital), 0 if back > most * unit else max(most - there // unit, 0)


def _share(money: int, of_money: int) -> float:
    return money / of_money if of_money > 0 else math.inf
