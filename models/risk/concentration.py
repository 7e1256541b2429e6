"""How much may be held: one asset, one sector, all together, gross and net.

Open orders count as filled, in the way that is worst. All of it is integer arithmetic and exact;
the room is the largest quantity that keeps the limit, to the lot. A position that a price has moved
over its limit is no breach; it can only be reduced until it is below again.
"""

import math
from typing import NamedTuple

from models.risk.account import FRACTION_SCALE, Account, scaled
from models.risk.limits import Finding, Order


def asset_fraction(account: Account, order: Order) -> Finding:
    """Keep one asset below its share of equity."""
    limit, there = account.limits.max_asset_fraction, _sides(account, order)
    budget = scaled(limit) * max(account.equity, 0)
    actual = account.of_equity(there.after(order))
    form = "{about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_ASSET_FRACTION", form, limit, actual, there.room(budget), order.symbol)


def sector_fraction(account: Account, order: Order) -> Finding:
    """Keep the assets of one sector, long and short added up, below its share of equity."""
    limit, there = account.limits.max_sector_fraction, _sides(account, order)
    sector = account.exposure.sector(order.symbol)
    rest = account.exposure.by_sector.get(sector, 0) - there.worst
    budget = scaled(limit) * max(account.equity, 0) - rest * FRACTION_SCALE
    actual = account.of_equity(rest + there.after(order))
    form = "sector {about} would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_SECTOR_FRACTION", form, limit, actual, there.room(budget), sector)


def leverage(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below the leverage limit times equity."""
    limit, there = account.limits.max_leverage, _sides(account, order)
    rest = account.exposure.gross - there.worst
    budget = scaled(limit) * max(account.equity, 0) - rest * FRACTION_SCALE
    actual = account.of_equity(rest + there.after(order))
    form = "gross exposure would be {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_LEVERAGE", form, limit, actual, there.room(budget))


def gross_exposure(account: Account, order: Order) -> Finding:
    """Keep the gross exposure below its share of the equity with which the day began."""
    limit, there = account.limits.max_gross_fraction, _sides(account, order)
    rest, capital = account.exposure.gross - there.worst, account.kept.day.open_equity
    budget = scaled(limit) * max(capital, 0) - rest * FRACTION_SCALE
    actual = _share(rest + there.after(order), capital)
    form = "gross exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    return Finding("MAX_GROSS_EXPOSURE", form, limit, actual, there.room(budget))


def net_exposure(account: Account, order: Order) -> Finding:
    """Keep longs less shorts, in the order's direction, below its share of that equity."""
    limit, capital = account.limits.max_net_fraction, account.kept.day.open_equity
    unit = account.book.notional(order.symbol, 1)
    direction, net = "long", account.exposure.up
    if order.lots < 0:
        direction, net = "short", -account.exposure.down
    actual = _share(net + abs(order.lots) * unit, capital)
    room = (scaled(limit) * max(capital, 0) - net * FRACTION_SCALE) // (FRACTION_SCALE * unit)
    form = (
        "net {about} exposure would be {actual:.4f} of the day's first equity; the limit is {limit}"
    )
    return Finding("MAX_NET_EXPOSURE", form, limit, actual, max(room, 0), direction)


class _Sides(NamedTuple):
    """A symbol in money: one lot, its worst values in an order's direction, against it, and of both."""

    unit: int
    there: int
    back: int
    worst: int

    def after(self, order: Order) -> int:
        """Return the worst value of the symbol once the order may have filled as well."""
        return max(abs(self.there + abs(order.lots) * self.unit), abs(self.back))

    def room(self, budget: int) -> int:
        """Return the lots that keep the symbol's worst value within ``budget`` (money x 1e9)."""
        most = budget // (FRACTION_SCALE * self.unit)
        if abs(self.back) > most * self.unit:
            return 0
        return max(most - self.there // self.unit, 0)


def _sides(account: Account, order: Order) -> _Sides:
    stake, unit = account.exposure.of(order.symbol), account.book.notional(order.symbol, 1)
    worst = abs(stake.worst())
    if order.lots > 0:
        return _Sides(unit, stake.up, -stake.down, worst)
    return _Sides(unit, -stake.down, stake.up, worst)


def _share(money: int, of_money: int) -> float:
    return money / of_money if of_money > 0 else math.inf
