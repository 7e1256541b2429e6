"""Sizing: a target share of equity becomes whole lots to trade."""

import math
from collections.abc import Iterable

from models.risk.account import FRACTION_SCALE, Account, scaled, scaled_limit
from models.risk.limits import Order
from models.risk.orders import order_quantity, order_value


def lots_for(account: Account, symbol: str, fraction: float) -> int:
    """Return the whole lots, toward zero, that ``fraction`` of equity buys at the last price.

    A target that is not finite, an account without equity or a symbol without a price give 0.
    """
    unit, equity = account.book.notional(symbol, 1), account.equity
    if unit <= 0 or equity <= 0 or not math.isfinite(fraction):
        return 0
    lots = abs(scaled(fraction)) * equity // (FRACTION_SCALE * unit)
    return lots if fraction >= 0 else -lots


def is_worth_trading(account: Account, symbol: str, lots: int, min_fraction: float) -> bool:
    """Tell whether a change of ``lots`` moves at least ``min_fraction`` of equity."""
    moved = abs(account.book.notional(symbol, lots)) * FRACTION_SCALE
    return lots != 0 and moved >= scaled_limit(min_fraction) * account.equity


def tilted(account: Account, symbol: str, fraction: float) -> float:
    """Return a target tilted by risk parity: times the symbol's weight over the equal weight.

    Weights sum to one, so the average target stays what it was and the budget is spread, not grown.
    A symbol that the weights do not name gets nothing.
    """
    parity = account.parity
    if not parity:
        return fraction
    return fraction * parity.get(symbol, 0.0) * len(parity)


def budget_share(account: Account, targets: Iterable[tuple[str, float]]) -> float:
    """Return the share of their targets that all long positions of a bar can have together.

    Each target is sized as if it were alone. Where they add up to more than the account may be net
    long, less what other symbols hold, all are scaled by the same share: a wish beyond the limit is
    no reason to refuse whoever comes last. Decisions show the target as it was wished.

    Four targets of 0.5 under a net limit of 1.0 can have half of it each: the share is 0.5.
    """
    if account.equity <= 0:
        return 1.0
    wished = [(s, tilted(account, s, target)) for s, target in targets if math.isfinite(target)]
    long = math.fsum(max(target, 0.0) for _, target in wished)
    named = {symbol for symbol, _ in wished}
    stakes = account.exposure.stakes
    others = sum(max(stake.up, 0) for symbol, stake in stakes.items() if symbol not in named)
    most = account.limits.max_net_fraction * account.kept.day.open_equity / account.equity
    room = max(most - others / account.equity, 0.0)
    return 1.0 if long <= room else room / long


def lots_wanted(account: Account, symbol: str, target_fraction: float) -> int:
    """Return the signed lots to ask for, so that position and open orders come to the target.

    An open buy may expire, so only what is held can be sold, unless symbol and account may be
    short. A change larger than one order may be is made in steps, of which this is the next; the
    decision shows the whole target beside it.
    """
    if not math.isfinite(target_fraction):
        return 0
    book, reservations = account.book, account.reservations
    if target_fraction == 0.0 and not book.position(symbol).lots and reservations.is_idle(symbol):
        return 0  # as most symbols are: nothing is wanted, held or under way
    desired = lots_for(account, symbol, tilted(account, symbol, target_fraction))
    held = book.position(symbol).lots + reservations.lots(symbol)
    may_be_short = account.limits.allow_short and symbol in account.rules.shortable
    if may_be_short:
        change = desired - held
    else:
        desired = max(desired, 0)
        change = max(desired - held, -max(-account.edge(symbol, -1), 0))
    if change == 0:
        return 0
    asked = _step(account, symbol, change)
    if desired == 0 and abs(held + change) < abs(held):
        return asked  # what should not be held is given back, however little it is
    worth = is_worth_trading(account, symbol, change, account.limits.min_trade_fraction)
    return asked if worth else 0


def _step(account: Account, symbol: str, change: int) -> int:
    """Return as much of a change as one order may be; what only reduces is bound by lots alone."""
    order = Order(symbol, change)
    quantity, value = order_quantity(account, order), order_value(account, order)
    step = min(quantity.room_lots, max(value.room_lots, account.reducible(order)), abs(change))
    return step if change > 0 else -step
