"""The judge's own account: what records and bars make of cash, lots, orders and time.

Integers and plain dictionaries; nothing of the product computes here. Money is an integer of 1e-16,
prices and lot sizes are integers of 1e-8, time is in nanoseconds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

DAY_NS = 24 * 3_600 * 10**9
MONEY = 10**16
PRICE = 10**8


@dataclass(slots=True)
class Waiting:
    """An order that was approved and has not ended: signed lots."""

    symbol: str
    lots: int
    strategy: str
    price_e8: int = 0
    placed: int = 0
    bars: int = 0


@dataclass(slots=True)
class Known:
    """A venue's execution that was booked, by which a correction takes it back."""

    day: int
    order_id: str
    symbol: str
    lots: int = 0
    price_e8: int = 0
    fee: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What the epoch of a story says; lot sizes are in 1e-8 of the unit.

    ``hours`` are from opening to closing, for symbols that do not trade around the clock.
    """

    lot_e8: Mapping[str, int]
    sectors: Mapping[str, str]
    shortable: frozenset[str]
    limits: Mapping[str, Any]
    cash: int
    bar_ns: int
    slippage_bps: float
    fee_bps: float
    expiry_bars: int
    is_external: bool
    reduces: bool
    hours: Mapping[str, tuple[tuple[int, int], ...]]


@dataclass(slots=True)
class Shadow:
    """One portfolio, kept a second time."""

    terms: Terms
    cash: int = 0
    base: int = 0
    realised: int = 0
    fees: int = 0
    lots: dict[str, int] = field(default_factory=dict)
    cost: dict[str, int] = field(default_factory=dict)
    price: dict[str, int] = field(default_factory=dict)
    priced: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    moves: dict[str, list[float | None]] = field(default_factory=dict)
    orders: dict[str, Waiting] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    sent: list[tuple[int, str, str, int, int]] = field(default_factory=list)
    n_today: int = 0
    fed: list[tuple[int, int, int]] = field(default_factory=list)
    now: int = -1
    bar: int = -1
    day: int = -1
    remembered: int = -1
    opened: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self.cash = self.base = self.opened = self.peak = self.terms.cash
        self.limits = dict(self.terms.limits)
        n_bars = self.limits["var_bars"]
        for symbol in self.terms.lot_e8:
            self.lots[symbol] = self.cost[symbol] = self.price[symbol] = 0
            self.moves[symbol] = [None] * n_bars

    def unit(self, symbol: str) -> int:
        """Return what a lot is worth at the last price."""
        return self.terms.lot_e8[symbol] * self.price[symbol]

    def held(self) -> int:
        """Return the value of all positions."""
        return sum(n * self.unit(symbol) for symbol, n in self.lots.items())

    def equity(self) -> int:
        """Return cash and positions."""
        return self.cash + self.held()

    def open_lots(self, symbol: str, side: int) -> int:
        """Return the lots of open orders of one side, as a positive number."""
        return sum(
            abs(order.lots)
            for order in self.orders.values()
            if order.symbol == symbol and (order.lots > 0) == (side > 0)
        )

    def extremes(self, symbol: str) -> tuple[int, int]:
        """Return the lots if all open buys filled, and if all open sells did."""
        held = self.lots[symbol]
        return held + self.open_lots(symbol, 1), held - self.open_lots(symbol, -1)

    def worst(self, symbol: str) -> int:
        """Return the value, signed, of the outcome further from flat; upwards if equal."""
        up, down = self.extremes(symbol)
        return (up if abs(up) >= abs(down) else down) * self.unit(symbol)

    def come_to(self, at_ns: int) -> None:
        """Let time come; a day begins with the equity that it finds."""
        self.now = max(self.now, at_ns)
        day = (self.now - 1) // DAY_NS
        if day > self.day:
            self.day = self.remembered = day
            self.opened, self.n_today = self.equity(), 0
            self.ids = {one: of for one, of in self.ids.items() if of > day - 2}
            self.known = {
                one: of
                for one, of in self.known.items()
                if of.day > day - 2 or of.order_id in self.orders
            }
        self.sent = [one for one in self.sent if one[0] > self.now - 60 * 10**9]

    def be_fed(self, close_ns: int, parts: Iterable[tuple[int, int]]) -> None:
        """Count ticks and bad ones over a minute; too many bad ones let nothing but reductions."""
        self.fed += [(close_ns, *part) for part in parts]
        self.fed = [one for one in self.fed if one[0] > close_ns - 60 * 10**9]
        n_in, n_bad = (sum(one[at] for one in self.fed) for at in (1, 2))
        if n_in and Fraction(n_bad, n_in) > Fraction(repr(self.limits["max_bad_input_fraction"])):
            self.switches.setdefault("portfolio", "REDUCING")

    def price_at(self, close_ns: int, closes: Mapping[str, float]) -> None:
        """Take a bar's closes and returns."""
        for symbol, moves in self.moves.items():
            close, move = closes.get(symbol), None
            if close is not None:
                if symbol in self.last:
                    move = math.log(close / self.last[symbol])
                self.last[symbol] = close
                self.price[symbol] = round(Fraction(repr(float(close))) * PRICE)
                self.priced[symbol] = close_ns
            del moves[0]
            moves.append(move)
        self.bar = close_ns
        self.peak = max(self.peak, self.equity())

    def book(self, symbol: str, lots: int, price_e8: int, fee: int) -> None:
        """Book a trade; the cost of what closes leaves in proportion, rounded toward zero."""
        held, cost = self.lots[symbol], self.cost[symbol]
        unit = self.terms.lot_e8[symbol] * price_e8
        closed = min(abs(lots), abs(held)) if held * lots < 0 else 0
        gone = _towards_zero(Fraction(cost * closed, abs(held))) if closed else 0
        closing = closed if lots > 0 else -closed
        self.realised += -closing * unit - gone
        self.cost[symbol] = cost - gone + (lots - closing) * unit
        self.lots[symbol] = held + lots
        self.cash -= lots * unit + fee
        self.fees += fee

    def approve(self, order_id: str, order: Waiting) -> None:
        """Count an approved order from now on."""
        self.orders[order_id] = order
        self.sent.append((self.now, order.strategy, order.symbol, order.lots, order.price_e8))
        self.n_today += 1

    def state(self) -> str:
        """Return ACTIVE, REDUCING or HALTED as the account as a whole is."""
        thrown = {self.switches.get("global"), self.switches.get("portfolio")}
        return "HALTED" if "HALTED" in thrown else "REDUCING" if "REDUCING" in thrown else "ACTIVE"


def _towards_zero(value: Fraction) -> int:
    return int(value) if value >= 0 else -int(-value)
