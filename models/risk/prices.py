"""Is there a price to judge by: missing, stale, or far from what the order asks."""

from models.portfolio.ledger import PRICE_SCALE
from models.risk.account import FRACTION_SCALE, Account, scaled_limit
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order


def known_price(account: Account, order: Order) -> Finding:
    """Refuse what has no price, or none of the last bars: neither value nor loss can be told."""
    limit = account.limits.stale_bars
    priced_ns = account.kept.priced_ns.get(order.symbol)
    if priced_ns is None or account.book.position(order.symbol).price_e8 <= 0:
        return Finding("NO_PRICE", "{about} has never had a price", limit, 0, 0, order.symbol)
    age_ns = account.kept.now_ns - priced_ns
    bars = age_ns / account.rules.bar_ns
    if age_ns <= limit * account.rules.bar_ns:
        return Finding("STALE_PRICE", "the price is fresh", limit, bars, UNBOUNDED_LOTS)
    form = "the last price of {about} is {actual:.1f} bars old; the limit is {limit}"
    return Finding("STALE_PRICE", form, limit, bars, 0, order.symbol)


def collar(account: Account, order: Order) -> Finding:
    """Refuse a price that is far from the last one: a slip of the hand, or of a unit."""
    limit = account.limits.price_collar_fraction
    last = account.book.position(order.symbol).price_e8
    away = abs(order.price_e8 - last) if order.price_e8 else 0
    if away * FRACTION_SCALE <= scaled_limit(limit) * last:
        return Finding("PRICE_COLLAR", "the price is near", limit, away / last, UNBOUNDED_LOTS)
    prices = f"{order.price_e8 / PRICE_SCALE:g}", f"{last / PRICE_SCALE:g}"
    form = (
        "price {about[0]} is {actual:.4f} away from the last one, {about[1]}; the limit is {limit}"
    )
    return Finding("PRICE_COLLAR", form, limit, away / last, 0, prices)
