"""Reservations: approved orders that have not filled count as exposure from the moment of approval.

An order that finds no price stays open, so a symbol's next decision, one bar later, is sized on
position plus open orders; sells never exceed what is held and not yet being sold, unless the
account may be short.
"""

from collections.abc import Iterable

import msgspec

from models.errors import ModelError


class OpenOrder(msgspec.Struct):
    """An approved order that waits: signed lots not yet filled, and where it comes from.

    ``order_id`` is the id of the decision that approved it; ``price_e8`` is its limit price, 0 at
    the market. ``placed_ns`` is the close that it came with, or a time behind it.
    """

    symbol: str
    lots: int
    placed_ns: int
    bars_waited: int = 0
    order_id: str = ""
    strategy: str = ""
    price_e8: int = 0


class Reservations:
    """Open orders in the order of approval, with the lots of each side summed by symbol.

    Parameters
    ----------
    orders
        What is open already. An order without an id is known by its symbol and bar.
    """

    def __init__(self, orders: Iterable[OpenOrder] = ()) -> None:
        self._by_id: dict[str, OpenOrder] = {}
        self._buying: dict[str, int] = {}
        self._selling: dict[str, int] = {}
        self._n_unnamed = 0
        for order in orders:
            self.reserve(order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reservations) and self.orders == other.orders

    __hash__ = None  # type: ignore[assignment]  # it changes, so it is no key

    @property
    def orders(self) -> list[OpenOrder]:
        """The open orders in the order of approval."""
        return list(self._by_id.values())

    def reserve(self, order: OpenOrder) -> None:
        """Count an approved order as exposure.

        Raises
        ------
        ModelError
            If an order of the same id is open already: ids are given once.
        """
        if not order.order_id:
            order.order_id = f"{order.symbol}@{order.placed_ns}#{self._n_unnamed}"
            self._n_unnamed += 1
        if order.order_id in self._by_id:
            raise ModelError(f"order {order.order_id} is open already; expected a new id")
        self._by_id[order.order_id] = order
        self._count(order, order.lots)

    def release(self, order: OpenOrder) -> None:
        """End an order: it filled, expired or was cancelled."""
        del self._by_id[order.order_id]
        self._count(order, -order.lots)

    def fill(self, order: OpenOrder, lots: int) -> None:
        """Take ``lots`` of an order's own sign off what is open; it ends when nothing is left."""
        if abs(lots) >= abs(order.lots):
            self.release(order)
            return
        self._count(order, -lots)
        order.lots -= lots

    def amend(self, order: OpenOrder, lots: int) -> None:
        """Set what is left of an order; it ends where nothing of its own sign is left."""
        if lots * order.lots <= 0:
            self.release(order)
            return
        self._count(order, lots - order.lots)
        order.lots = lots

    def find(self, order_id: str) -> OpenOrder | None:
        """Return the open order of a decision, None if it has ended or never was."""
        return self._by_id.get(order_id)

    def lots(self, symbol: str) -> int:
        """Return the net open lots of a symbol."""
        return self.buying(symbol) - self.selling(symbol)

    def is_idle(self, symbol: str) -> bool:
        """Tell whether no order of a symbol is open."""
        return not (self._buying.get(symbol) or self._selling.get(symbol))

    def buying(self, symbol: str) -> int:
        """Return the lots that open buys may still add: the worst case upwards."""
        return self._buying.get(symbol, 0)

    def selling(self, symbol: str) -> int:
        """Return the lots that open sells may still take away, as a positive number."""
        return self._selling.get(symbol, 0)

    def _count(self, order: OpenOrder, lots: int) -> None:
        """Add ``lots`` (negative: take away) to the sum of the order's own side."""
        side, size = (self._buying, lots) if order.lots > 0 else (self._selling, -lots)
        side[order.symbol] = side.get(order.symbol, 0) + size
