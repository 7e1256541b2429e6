"""I5: what an approved order makes of the account keeps every limit on exposure.

Open orders count as filled in the way that is worst, the order itself among them. An order that
only takes a position back, beyond what other open orders may take, adds no exposure and passes.
"""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from tests.chaos.judge.exact import text
from tests.chaos.judge.ledger import Account
from tests.chaos.judge.record import Record
from tests.chaos.judge.verdict import Invariant


class Asked(NamedTuple):
    """An order when it is approved: signed lots; its limit price in 1e-8, 0 at the market."""

    symbol: str
    lots: int
    price: int = 0


class Use(NamedTuple):
    """How much of a limit is used: the limit's key, money of it, and the capital it is of."""

    limit: str
    money: int
    capital: int


def check_order(account: Account, asked: Asked, at: Record, limits: Invariant) -> None:
    """Check an approved order, before it is opened, against the limits in force."""
    limits.n_checked += 1
    in_force, size = account.limits, abs(asked.lots)
    name = f"{size} lots of {asked.symbol}"
    if asked.symbol in in_force["restricted"]:
        limits.broken(at.place, f"{name} approved", "refused: the symbol is restricted")
    if size > in_force["max_order_lots"]:
        limits.broken(at.place, name, f"max_order_lots {in_force['max_order_lots']}")
    if account.unit(asked.symbol) <= 0:
        limits.broken(at.place, f"{name} approved", "refused: it has no price")
        return
    free = _free(account, asked)
    if size <= free:
        return
    instrument = account.portfolio.epoch.instruments[asked.symbol]
    may_be_short = in_force["allow_short"] and instrument["shortable"]
    if asked.lots < 0 and not may_be_short:
        limits.broken(at.place, f"{name} sold", f"at most {free}, or it is a short sale")
    for use in _uses(account, asked):
        share = Fraction(str(in_force[use.limit]))
        if use.money > share * max(use.capital, 0):
            found = f"{name}: {text(use.money)} against {text(use.capital)}"
            limits.broken(at.place, found, f"{use.limit} {in_force[use.limit]}")


def _free(account: Account, asked: Asked) -> int:
    """Return the lots that the order's side can take back: held, and not being taken already."""
    side = 1 if asked.lots > 0 else -1
    held = account.position(asked.symbol).lots
    return max(0, -side * held - account.open_lots(asked.symbol, side))


def _uses(account: Account, asked: Asked) -> Iterator[Use]:
    """Yield what the order makes of each limit."""
    equity, day_open = account.equity(), account.day_open
    ups, downs, by_sector = {}, {}, Counter[str]()
    orders = [(o.symbol, o.lots) for o in account.orders.values()] + [asked[:2]]
    buying, selling = Counter[str](), Counter[str]()
    for symbol, lots in orders:
        (buying if lots > 0 else selling)[symbol] += abs(lots)
    for symbol in sorted(account.positions):
        held, unit = account.position(symbol).lots, account.unit(symbol)
        ups[symbol], downs[symbol] = (held + buying[symbol]) * unit, (held - selling[symbol]) * unit
        instrument = account.portfolio.epoch.instruments[symbol]
        by_sector[instrument["sector"]] += max(abs(ups[symbol]), abs(downs[symbol]))
    mine = account.portfolio.epoch.instruments[asked.symbol]["sector"]
    worst = max(abs(ups[asked.symbol]), abs(downs[asked.symbol]))
    gross = by_sector.total()
    dearest = max(asked.price, account.position(asked.symbol).price)
    value = abs(asked.lots) * account.lot_sizes[asked.symbol] * dearest
    yield Use("max_order_fraction", value, equity)
    yield Use("max_asset_fraction", worst, equity)
    yield Use("max_sector_fraction", by_sector[mine], equity)
    yield Use("max_leverage", gross, equity)
    yield Use("max_gross_fraction", gross, day_open)
    net = sum(ups.values()) if asked.lots > 0 else -sum(downs.values())
    yield Use("max_net_fraction", net, day_open)
