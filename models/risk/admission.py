"""May this be traded at all, now: kill switches, restricted symbols, market hours, short sales."""

from models.risk.account import Account
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order
from models.risk.sessions import DAY_NS


def halted(account: Account, order: Order) -> Finding:
    """Refuse everything while a switch that applies is HALTED."""
    thrown = account.kept.switches.on(order.strategy, order.symbol)
    if thrown is None or thrown[1].state != "HALTED":
        return Finding("HALTED", "nothing is halted", 0, 0, UNBOUNDED_LOTS)
    key, switch = thrown
    about = f"{key} is HALTED by {switch.actor}: {switch.reason}"
    return Finding("HALTED", "{about}", 0, abs(order.lots), 0, about)


def reducing(account: Account, order: Order) -> Finding:
    """Refuse new risk while a switch that applies is REDUCING."""
    thrown = account.kept.switches.on(order.strategy, order.symbol)
    if thrown is None or thrown[1].state != "REDUCING":
        return Finding("REDUCE_ONLY", "new risk is allowed", 0, 0, UNBOUNDED_LOTS)
    key, switch = thrown
    about = f"{key} is REDUCING by {switch.actor}: {switch.reason}"
    return Finding("REDUCE_ONLY", "{about}", 0, abs(order.lots), 0, about)


def restricted(account: Account, order: Order) -> Finding:
    """Refuse what stands on the list of restricted symbols."""
    if order.symbol not in account.limits.restricted:
        return Finding("RESTRICTED_SYMBOL", "not restricted", 0, 0, UNBOUNDED_LOTS)
    form = "{about} is restricted for this portfolio"
    return Finding("RESTRICTED_SYMBOL", form, 0, abs(order.lots), 0, order.symbol)


def market_hours(account: Account, order: Order) -> Finding:
    """Refuse an order that would meet a closed market.

    An order on daily bars is placed after the close, for the next session; it needs a calendar that
    knows of one.
    """
    hours = account.rules.hours.get(order.symbol)
    now_ns = account.kept.now_ns
    is_open = hours is None or (
        hours.covers(now_ns) if account.rules.bar_ns >= DAY_NS else hours.is_open(now_ns)
    )
    if is_open:
        return Finding("MARKET_CLOSED", "the market is open", 0, 0, UNBOUNDED_LOTS)
    about = order.symbol, now_ns
    form = "the market of {about[0]} is closed at {about[1]} ns, or its calendar ends before"
    return Finding("MARKET_CLOSED", form, 0, abs(order.lots), 0, about)


def short_sale(account: Account, order: Order) -> Finding:
    """Refuse to sell what is not held, unless portfolio and instrument may be short."""
    if order.lots > 0 or (account.limits.allow_short and order.symbol in account.rules.shortable):
        return Finding("SHORT_SALE", "nothing is sold short", 0, 0, UNBOUNDED_LOTS)
    room = account.reducible(order)
    short = max(-order.lots - room, 0)
    form = "{actual} lots of {about[0]} would be sold short; {about[1]} are held and not being sold"
    return Finding("SHORT_SALE", form, 0, short, room, (order.symbol, room))
