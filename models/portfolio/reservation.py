"""Reservations: approved orders that have not filled count as exposure from the moment of approval.

An order that finds no price stays open, so a symbol's next decision, one bar later, is sized on
position plus open orders; sells never exceed what is held and not yet being sold.
"""

import msgspec


class OpenOrder(msgspec.Struct):
    """An approved order that waits: signed lots, the close it was decided at, bars waited."""

    symbol: str
    lots: int
    placed_close_ns: int
    bars_waited: int = 0


class Reservations(msgspec.Struct):
    """Open orders in the order of approval."""

    orders: list[OpenOrder] = msgspec.field(default_factory=list)

    def reserve(self, order: OpenOrder) -> None:
        """Count an approved order as exposure."""
        self.orders.append(order)

    def release(self, order: OpenOrder) -> None:
        """End an order: it filled or expired."""
        self.orders.remove(order)

    def lots(self, symbol: str) -> int:
        """Return the net open lots of a symbol."""
        return sum(order.lots for order in self.orders if order.symbol == symbol)

    def buying(self, symbol: str) -> int:
        """Return the lots that open buys may still add: the worst case upwards."""
        return sum(o.lots for o in self.orders if o.symbol == symbol and o.lots > 0)

    def selling(self, symbol: str) -> int:
        """Return the lots that open sells may still take away, as a positive number."""
        return -sum(o.lots for o in self.orders if o.symbol == symbol and o.lots < 0)
