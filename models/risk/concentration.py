"""How much may be held: one asset, one sector, all together, gross and net.

Open orders count as filled, in the way that is worst. All of it is integer arithmetic and exact;
the room is the largest quantity that keeps the limit, to the lot. A position that a price has moved
over its limit is no breach; it can only be reduced until it is below again.
"""

import math

from models.risk.account import FRACTION_SCALE, Account, scaled
from models.risk.limits import Finding, Order


def asset_fraction(account: Account, order: Order) -> Finding:
    """Keep one asset below its share of equity."""
    limit = account.limits.max_asset_fraction
    budget = scaled(limit) * max(account.equity, 0)
    actual = account.of_equity(_after(account, order))
    message = f"{order.symbol} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_ASSET_FRACTION", message, limit, actual, _room(account, order, budget))


def sector_fraction(account: Account, order: Order) -> Finding:
    """Keep the assets of one sector, long and short added up, below its share of equity."""
    limit, exposure = account.limits.max_sector_fraction, account.exposure
    sector = exposure.sector(order.symbol)
    rest = exposure.by_sector.get(sector, 0) - abs(exposure.of(order.symbol).worst())
    budget = scaled(limit) * max(account.equity, 0) - rest * FRACTION_SCALE
    actual = account.of_equity(rest + _after(account, order))
    message = f"sector {sector} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_SECTOR_FRACTION", message, limit, actual, _room(account, order, budget))


def leverage(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below the leverage limit times equity."""
    limit = account.limits.max_leverage
    rest = _rest(account, order)
    budget = scaled(limit) * max(account.equity, 0) - rest * FRACTION_SCALE
    actual = account.of_equity(rest + _after(account, order))
    message = f"gross exposure would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_LEVERAGE", message, limit, actual, _room(account, order, budget))


def gross_exposure(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below its share of the equity with which the day began."""
    limit, capital = account.limits.max_gross_fraction, account.kept.day.open_equity
    rest = _rest(account, order)
    budget = scaled(limit) * max(capital, 0) - rest * FRACTION_SCALE
    actual = _share(rest + _after(account, order), capital)
    message = (
        f"gross exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    )
    return Finding("MAX_GROSS_EXPOSURE", message, limit, actual, _room(account, order, budget))


def net_exposure(account: Account, order: Order) -> Finding:
    """Keep longs less shorts, in the order's direction, below its share of that equity."""
    limit, capital = account.limits.max_net_fraction, account.kept.day.open_equity
    unit, side = account.book.notional(order.symbol, 1), 1 if order.lots > 0 else -1
    net = account.exposure.up if side > 0 else -account.exposure.down
    actual = _share(net + abs(order.lots) * unit, capital)
    room = (scaled(limit) * max(capital, 0) - net * FRACTION_SCALE) // (FRACTION_SCALE * unit)
    direction = "long" if side > 0 else "short"
    message = (
        f"net {direction} exposure would be {actual:.4f} of the day's first equity; "
        f"the limit is {limit}"
    )
    return Finding("MAX_NET_EXPOSURE", message, limit, actual, max(room, 0))


def _sides(account: Account, order: Order) -> tuple[int, int, int]:
    """Return a lot's value, and the worst values in the order's direction and against it."""
    stake, unit = account.exposure.of(order.symbol), account.book.notional(order.symbol, 1)
    return (unit, stake.up, -stake.down) if order.lots > 0 else (unit, -stake.down, stake.up)


def _after(account: Account, order: Order) -> int:
    """Return the worst value of the symbol once the order may have filled as well."""
    unit, there, back = _sides(account, order)
    return max(abs(there + abs(order.lots) * unit), abs(back))


def _room(account: Account, order: Order, budget: int) -> int:
    """Return the lots that keep the symbol's worst value within ``budget`` (money x 1e9)."""
    unit, there, back = _sides(account, order)
    most = budget // (FRACTION_SCALE * unit)
    if abs(back) > most * unit:
        return 0
    return max(most - there // unit, 0)


def _rest(account: Account, order: Order) -> int:
    """Return the gross exposure of all other symbols."""
    return account.exposure.gross - abs(account.exposure.of(order.symbol).worst())


def _share(money: int, of_money: int) -> float:
    return money / of_money if of_money > 0 else math.inf
