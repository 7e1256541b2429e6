"""Paper execution: an order of bar t fills at the first trade that it could have met.

That trade is the ``fill_price`` of a later bar (first trade at or after the close plus lateness
plus the venue's latency), worsened by slippage. A bar without one leaves the order waiting, and so
does the bar in which an order was sent: its fill price may be older than the order.
"""

import math

from models.portfolio.ledger import PRICE_SCALE, Book, Fill, fee_of, price_e8
from models.portfolio.reservation import OpenOrder

_BPS = 10_000


def paper_fill(
    book: Book, order: OpenOrder, fill_price: float, *, slippage_bps: float, fee_bps: float
) -> Fill | None:
    """Return the fill of ``order`` at ``fill_price``, or None if the bar offers no price.

    An order with a limit price does not fill at a worse one. Slippage moves the price against the
    order: up for a buy, down for a sell.
    """
    if not math.isfinite(fill_price):
        return None
    side = 1 if order.lots > 0 else -1
    price = price_e8(fill_price * (1.0 + side * slippage_bps / _BPS))
    price = max(price, 1)
    if order.price_e8 and side * (price - order.price_e8) > 0:
        return None
    notional = abs(order.lots) * book.lot_sizes[order.symbol] * price
    return Fill(order.symbol, order.lots, price, fee_of(notional, fee_bps))


def price_of(fill: Fill) -> float:
    """Return the fill's price as a float for reports."""
    return fill.price_e8 / PRICE_SCALE
