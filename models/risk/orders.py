"""Is the order itself sane: its value, its quantity, how many came before, is it one twice."""

from models.risk.account import FRACTION_SCALE, Account, scaled_limit
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order

_NS_PER_MS = 1_000_000


def order_value(account: Account, order: Order) -> Finding:
    """Keep one order's value below its share of equity, at the higher of its price and the last."""
    limit = account.limits.max_order_fraction
    unit = _dearest_unit(account, order)
    room = scaled_limit(limit) * max(account.equity, 0) // (FRACTION_SCALE * unit)
    actual = account.of_equity(abs(order.lots) * unit)
    form = "the order is {actual:.4f} of equity; the limit is {limit}"
    return Finding("MAX_ORDER_VALUE", form, limit, actual, room)


def order_quantity(account: Account, order: Order) -> Finding:
    """Keep one order's lots below a number that nobody means."""
    limit, lots = account.limits.max_order_lots, abs(order.lots)
    form = "the order has {actual} lots; the limit is {limit}"
    return Finding("MAX_ORDER_QUANTITY", form, limit, lots, limit)


def order_rate(account: Account, order: Order) -> Finding:
    """Keep the orders of one second below a number; the order counts itself."""
    del order  # any order is one more
    limit = account.limits.max_orders_per_second
    actual = account.kept.flow.in_last_second() + 1
    room = UNBOUNDED_LOTS if actual <= limit else 0
    form = "it would be order {actual} within a second; the limit is {limit}"
    return Finding("ORDER_RATE", form, limit, actual, room)


def orders_per_day(account: Account, order: Order) -> Finding:
    """Keep the orders of one day below a number; the order counts itself."""
    del order  # any order is one more
    limit, actual = account.limits.max_orders_per_day, account.kept.flow.n_today + 1
    room = UNBOUNDED_LOTS if actual <= limit else 0
    form = "it would be order {actual} of the day; the limit is {limit}"
    return Finding("ORDERS_PER_DAY", form, limit, actual, room)


def repeats(account: Account, order: Order) -> Finding:
    """Stop a strategy that sends the same symbol and side again and again."""
    limit = account.limits.max_repeats_per_minute
    n_before = account.kept.flow.repeats(order.strategy, order.symbol, is_buy=order.lots > 0)
    room = UNBOUNDED_LOTS if n_before < limit else 0
    form = "it would be repetition {actual} within a minute; the limit is {limit}"
    return Finding("REPEATED_ORDER", form, limit, n_before + 1, room)


def duplicate(account: Account, order: Order) -> Finding:
    """Refuse an order equal to one just sent: the same symbol, side, quantity and price."""
    limit = account.limits.duplicate_window_ms
    last_ns = account.kept.flow.last_equal_ns(order.symbol, order.lots, order.price_e8)
    if last_ns is None or account.kept.now_ns - last_ns >= limit * _NS_PER_MS:
        return Finding("DUPLICATE_ORDER", "no equal order", limit, limit, UNBOUNDED_LOTS)
    age_ms = (account.kept.now_ns - last_ns) / _NS_PER_MS
    form = "an equal order was sent {actual:g} ms before; expected {limit} ms at least"
    return Finding("DUPLICATE_ORDER", form, limit, age_ms, 0)


def _dearest_unit(account: Account, order: Order) -> int:
    last = account.book.position(order.symbol).price_e8
    # A symbol without a price is refused for that; sizing asks for a step before.
    return account.book.lot_sizes[order.symbol] * max(order.price_e8, last, 1)
