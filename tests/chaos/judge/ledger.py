"""I4: an account kept from executions alone, and compared with what is published after each bar.

Money is an integer of 1e-16 of the currency, a price of 1e-8, a position of lots: every product is
exact. A position's cost is the average one; what is closed takes its share with it, rounded toward
zero, and the last lot takes the rest.
"""

from dataclasses import dataclass
from typing import Any

from tests.chaos.judge.documents import Portfolio
from tests.chaos.judge.exact import E8, E16, rounded, text, whole
from tests.chaos.judge.record import Record
from tests.chaos.judge.verdict import Invariant

Said = dict[str, Any]


@dataclass
class Position:
    """Lots held (negative: short), what they cost, and the last price."""

    lots: int = 0
    cost: int = 0
    price: int = 0


@dataclass
class OpenOrder:
    """An approved order: what is left of it in signed lots, since when, and for how many bars."""

    symbol: str
    lots: int
    placed_ns: int
    waited: int = 0


class Account:
    """One portfolio, folded from outside."""

    def __init__(self, portfolio: Portfolio, ledger: Invariant) -> None:
        self.portfolio, self.ledger = portfolio, ledger
        self.lot_sizes = portfolio.epoch.lot_sizes
        self.changed: dict[str, Any] = {}
        self.cash = portfolio.cash
        self.realised = self.fees = 0
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, OpenOrder] = {}
        self.day, self.day_open = -1, portfolio.cash
        self.bar_ns = -1

    @property
    def limits(self) -> dict[str, Any]:
        """The limits in force: those of the epoch, and what records have set since."""
        return self.portfolio.limits | self.changed

    def position(self, symbol: str) -> Position:
        """Return a position, made if it is new."""
        return self.positions.setdefault(symbol, Position())

    def unit(self, symbol: str) -> int:
        """Return what one lot is worth at the last price."""
        return self.lot_sizes[symbol] * self.position(symbol).price

    def equity(self) -> int:
        """Return cash and all positions at their last prices."""
        return self.cash + sum(p.lots * self.unit(s) for s, p in self.positions.items())

    def open_lots(self, symbol: str, side: int) -> int:
        """Return the lots of open buys (side 1) or open sells (side -1), without sign."""
        lots = (side * o.lots for o in self.orders.values() if o.symbol == symbol)
        return sum(n for n in lots if n > 0)

    def lots(self, symbol: str, quantity: object) -> int:
        """Return a quantity as lots; raises ValueError if it is no multiple of the lot."""
        lots, rest = divmod(whole(quantity, E8), self.lot_sizes[symbol])
        if rest:
            raise ValueError(f"quantity {quantity} is no multiple of the lot of {symbol}")
        return lots

    def time_comes(self, at_ns: int) -> None:
        """Let a new day begin with the equity that it finds."""
        day = self.portfolio.day(at_ns)
        if day > self.day:
            self.day, self.day_open = day, self.equity()

    def mark(self, symbol: str, price: object) -> None:
        """Take a bar's close."""
        self.position(symbol).price = rounded(price)

    def approve(self, decision_id: str, symbol: str, lots: int, placed_ns: int) -> None:
        """Open an order that was sent at a close, or behind the last one."""
        self.orders[decision_id] = OpenOrder(symbol, lots, placed_ns)

    def execute(self, said: Said, at: Record) -> None:
        """Take an execution: the order that it is of, and the money that it moves."""
        self.ledger.n_checked += 1
        try:
            lots = self.lots(said["symbol"], said["quantity"])
            price, fee = whole(said["price"], E8), whole(said["fee"], E16)
        except (KeyError, ValueError) as error:
            self.ledger.broken(at.place, error, "whole lots, a price of 8 and a fee of 16 decimals")
            return
        lots = lots if said["side"] == "BUY" else -lots
        self._use(said, lots, at)
        if said["kind"] == "fill":
            self._fill(self.position(said["symbol"]), lots, price * self.lot_sizes[said["symbol"]])
            self.cash -= fee
            self.fees += fee

    def _use(self, said: Said, lots: int, at: Record) -> None:
        """Take an execution off its order; on paper each ends one order, whole."""
        order = self.orders.get(said["decision_id"])
        found = f"{said['kind']} of {lots} lots of {said['symbol']}"
        if self.portfolio.is_paper:
            open_ = f"{order.lots} open lots of {order.symbol}" if order else "no open order"
            if order is None or (order.symbol, order.lots) != (said["symbol"], lots):
                self.ledger.broken(at.place, found, f"{open_} of {said['decision_id']}")
            elif said["kind"] == "fill" and order.placed_ns > self.bar_ns:
                expected = "one behind the next close: this bar's price is older than the order"
                self.ledger.broken(at.place, found, expected)
            elif said["kind"] == "expire" and not said.get("venue_kind"):
                waited, expected = order.waited + 1, self.portfolio.expiry_bars
                self.ledger.equal(at.place, "expiry after bars", waited, expected)
        if order is None:
            return
        order.lots -= lots
        # What a venue filled beyond the order leaves nothing open; a correction reopens its own.
        is_over = order.lots * lots < 0 and said.get("venue_kind") != "correction"
        if order.lots == 0 or is_over or said["kind"] == "expire":
            del self.orders[said["decision_id"]]

    def _fill(self, held: Position, lots: int, unit: int) -> None:
        """Book a trade of signed lots at a price per lot."""
        closing = min(abs(lots), abs(held.lots)) if held.lots * lots < 0 else 0
        sign = 1 if held.lots > 0 else -1
        released = 0
        if closing:
            share, _ = divmod(abs(held.cost) * closing, abs(held.lots))
            released = share if held.cost >= 0 else -share
        self.realised += sign * closing * unit - released
        held.cost += (lots + sign * closing) * unit - released
        held.lots += lots
        self.cash -= lots * unit

    def age(self, at: str, close_ns: int) -> None:
        """Let a bar pass for all orders that it left open; on paper each ends in time."""
        before_ns, self.bar_ns = self.bar_ns, close_ns
        for name, order in self.orders.items():
            if order.placed_ns > before_ns:
                continue
            order.waited += 1
            if self.portfolio.is_paper and order.waited >= self.portfolio.expiry_bars:
                found = f"order {name} is open after {order.waited} bars"
                self.ledger.broken(at, found, f"its end after {self.portfolio.expiry_bars}")

    def compare(self, said: Said, at: Record) -> None:
        """Compare with the account as published."""
        held = sum(p.lots * self.unit(s) for s, p in self.positions.items())
        cost = sum(p.cost for p in self.positions.values())
        gross = sum(abs(p.lots * self.unit(s)) for s, p in self.positions.items())
        expected = {
            "cash": self.cash,
            "equity": self.cash + held,
            "gross": gross,
            "realised": self.realised,
            "unrealised": held - cost,
            "fees": self.fees,
        }
        for name, money in expected.items():
            self.ledger.equal(at.place, name, said[name], text(money))
        risk = said["risk"] or {}
        day_open = text(self.day_open)
        self.ledger.equal(at.place, "day_open_equity", risk.get("day_open_equity"), day_open)
        self.ledger.equal(at.place, "open_orders", risk.get("open_orders"), len(self.orders))
        theirs = {each["symbol"]: each for each in said["holdings"]}
        for symbol in sorted(theirs.keys() | self.positions.keys()):
            self._compare_holding(symbol, theirs.get(symbol), at)

    def _compare_holding(self, symbol: str, said: Said | None, at: Record) -> None:
        held = self.position(symbol)
        buying, selling = self.open_lots(symbol, 1), self.open_lots(symbol, -1)
        if not (held.lots or buying or selling):
            found = "no holding" if said is None else f"holding {said['quantity']}"
            self.ledger.equal(at.place, symbol, found, "no holding")
            return
        if said is None:
            found = f"{held.lots} lots, {buying} being bought, {selling} sold"
            self.ledger.broken(at.place, f"no holding of {symbol}", found)
            return
        value = held.lots * self.unit(symbol)
        expected = {
            "quantity": held.lots * self.lot_sizes[symbol] * E8,
            "open_quantity": (buying - selling) * self.lot_sizes[symbol] * E8,
            "price": held.price * E8,
            "notional": value,
            "cost": held.cost,
            "unrealised": value - held.cost,
        }
        for name, number in expected.items():
            found = text(whole(said[name], E16))
            self.ledger.equal(at.place, f"{symbol} {name}", found, text(number))
