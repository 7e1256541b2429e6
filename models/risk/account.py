"""The account: one state that bars, orders, executions and instructions change, in log order.

Money, lots and exposure are integers and exact; scenarios are floats computed in a fixed order.
What the controls need is kept up to date with every change, so a check costs the same for one
position and for five hundred.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from models.portfolio.ledger import Book, Fill, mark, post
from models.portfolio.reservation import OpenOrder, Reservations
from models.portfolio.witness import Witness
from models.risk.correlation import FloatArray
from models.risk.exposure import Exposure, stake_of
from models.risk.feed import Fed, Feed
from models.risk.flow import OrderFlow, Sent
from models.risk.limits import AccountRules, Order, RiskLimits
from models.risk.memory import Memory
from models.risk.scenarios import Scenarios
from models.risk.sessions import day_of
from models.risk.switches import Switch, Switches

# Fractions are compared as integers of 1e-9, so that no verdict depends on float rounding.
FRACTION_SCALE = 10**9


def scaled(fraction: float) -> int:
    """Return a fraction as an integer of 1e-9."""
    return round(fraction * FRACTION_SCALE)


@lru_cache(maxsize=1_024)
def scaled_limit(limit: float) -> int:
    """Return a limit as an integer of 1e-9; there are few of them, and every order meets all."""
    return scaled(limit)


@dataclass(slots=True)
class Day:
    """The account's day: its number, its equity when it began, and the highest equity ever."""

    number: int
    open_equity: int
    peak_equity: int


@dataclass(slots=True)
class Kept:
    """What of an account must survive a restart, beside what follows from it.

    ``priced_ns`` is the close of each symbol's last bar, by symbol; ``now_ns`` is the account's
    time and ``bar_ns`` the close of its last bar, -1 before the first. ``changed`` are limits that
    records set over those of the epoch, ``parity`` the weights that a record set over the epoch's.
    """

    book: Book
    witness: Witness
    reservations: Reservations
    window: FloatArray
    last_close: FloatArray
    day: Day
    earned: FloatArray | None = None
    now_ns: int = -1
    bar_ns: int = -1
    priced_ns: dict[str, int] = field(default_factory=dict)
    flow: OrderFlow = field(default_factory=OrderFlow)
    switches: Switches = field(default_factory=Switches)
    memory: Memory = field(default_factory=Memory)
    changed: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    feed: Feed = field(default_factory=Feed)


class Account:
    """One portfolio as the fold and the controls see it.

    Parameters
    ----------
    kept
        Its state; the account owns it from now on.
    rules
        What the epoch says about it.
    """

    def __init__(self, kept: Kept, rules: AccountRules) -> None:
        self.kept = kept
        self.book, self.reservations = kept.book, kept.reservations
        self.adopt(rules)
        self.scenarios = Scenarios(rules.symbols, kept.window, self.exposure.stakes, kept.earned)

    def adopt(self, rules: AccountRules) -> None:
        """Go on by the rules of another epoch, under the limits that records have set since."""
        self.rules = rules
        self._count_days_anew()
        self.limits: RiskLimits = rules.limits._replace(**self.kept.changed)
        self.exposure = Exposure(rules.sectors)
        for symbol in sorted(self.book.positions.keys() | set(rules.symbols)):
            self._put(symbol)

    def _count_days_anew(self) -> None:
        """Give the day that goes on the number that it has by the calendar of these rules.

        A calendar counts from its first session, so one of another stretch counts from elsewhere.
        """
        kept = self.kept
        number = day_of(self.rules.day, kept.now_ns)
        if kept.memory.day >= 0 and number != kept.day.number:
            kept.memory.renumber(number)
            kept.day.number = number

    @property
    def equity(self) -> int:
        """Cash plus all positions at their last prices, in money units."""
        return self.book.cash + self.exposure.held

    @property
    def parity(self) -> Mapping[str, float]:
        """Risk-parity weights by symbol; empty for none."""
        return self.kept.parity or self.rules.parity

    def of_equity(self, money: int) -> float:
        """Return money as a fraction of equity; infinite where there is no equity."""
        return money / self.equity if self.equity > 0 else math.inf

    def advance(self, at_ns: int) -> None:
        """Let time come to ``at_ns``, never back; a new day begins with the equity it finds."""
        kept = self.kept
        kept.now_ns = max(kept.now_ns, at_ns)
        kept.flow.forget(kept.now_ns)
        number = day_of(self.rules.day, kept.now_ns)
        if number > kept.day.number:
            kept.day.number, kept.day.open_equity = number, self.equity
            kept.flow.new_day()
            kept.memory.forget(number, lambda of: self.reservations.find(of) is not None)

    def mark(self, close_ns: int, closes: Mapping[str, float]) -> None:
        """Take a bar's prices: marks, returns, exposure and scenarios follow."""
        kept = self.kept
        mark(self.book, closes)
        index, last_close = self.scenarios.index, kept.last_close.tolist()
        returns = [math.nan] * len(last_close)
        for symbol, close in closes.items():
            at = index[symbol]
            returns[at] = math.log(close / last_close[at])
            last_close[at] = close
            kept.priced_ns[symbol] = close_ns
            self._put(symbol)
        kept.last_close, kept.bar_ns = np.array(last_close, np.float64), close_ns
        self.scenarios.push(np.array(returns, np.float64), self.exposure.stakes)
        kept.window = self.scenarios.window
        kept.day.peak_equity = max(kept.day.peak_equity, self.equity)

    def reserve(self, order: OpenOrder) -> None:
        """Count an approved order: it is exposure from now on."""
        self.reservations.reserve(order)
        sent = Sent(self.kept.now_ns, order.strategy, order.symbol, order.lots, order.price_e8)
        self.kept.flow.note(sent)
        self.touch(order.symbol)

    def release(self, order: OpenOrder) -> None:
        """End an open order without a trade."""
        self.reservations.release(order)
        self.touch(order.symbol)

    def settle(self, order: OpenOrder, fill: Fill) -> None:
        """Book the trade of an open order; what is left of the order stays open.

        Exposure is left to the mark that must follow at once.
        """
        self.reservations.fill(order, fill.lots)
        self._book(fill)

    def trade(self, fill: Fill) -> None:
        """Book a trade that happened, and let the witness take its own note of it."""
        self._book(fill)
        self.touch(fill.symbol)

    def _book(self, fill: Fill) -> None:
        post(self.book, fill)
        self.kept.witness.saw(fill, self.book.lot_sizes[fill.symbol])

    def touch(self, symbol: str) -> None:
        """Look at a symbol anew after its position or its open orders changed."""
        self._put(symbol)
        self.scenarios.move(symbol, self.exposure.of(symbol))

    def verify(self) -> list[str]:
        """Compare the book with the witness; where they differ nothing may be traded."""
        differences = self.kept.witness.differences(self.book)
        if differences:
            reason = f"BOOK_MISMATCH: {differences[0]}"
            switch = Switch("HALTED", reason, "risk", self.kept.now_ns)
            self.kept.switches.throw("portfolio", "", switch)
        return differences

    def feed(self, close_ns: int, fed: Fed) -> str:
        """Count what came for a bar; too much rubbish in a minute ends new risk, and says so.

        A switch that stands already is left as it is.
        """
        kept = self.kept
        kept.feed = kept.feed.take(close_ns, fed)
        n_in, n_bad = kept.feed.sums()
        limit = self.limits.max_bad_input_fraction
        if (
            n_bad * FRACTION_SCALE <= scaled_limit(limit) * n_in
            or "portfolio" in kept.switches.thrown
        ):
            return ""
        said = f"{n_bad} of {n_in} ticks of a minute could not be used; the limit is {limit}"
        switch = Switch("REDUCING", f"BAD_INPUT: {said}", "risk", kept.now_ns)
        kept.switches.throw("portfolio", "", switch)
        return said

    def edge(self, symbol: str, side: int) -> int:
        """Return the lots in the order's direction if all open orders of that side filled."""
        lots = self.book.position(symbol).lots
        if side > 0:
            return lots + self.reservations.buying(symbol)
        return self.reservations.selling(symbol) - lots

    def reducible(self, order: Order) -> int:
        """Return how many lots in the order's direction would only take a position back."""
        return max(0, -self.edge(order.symbol, 1 if order.lots > 0 else -1))

    def _put(self, symbol: str) -> None:
        self.exposure.put(symbol, stake_of(self.book, self.reservations, symbol))


def open_account(cash: int, lot_sizes: dict[str, int], rules: AccountRules) -> Account:
    """Return an account with ``cash`` (money units) and nothing else."""
    n_symbols = len(rules.symbols)
    kept = Kept(
        Book(cash, lot_sizes),
        Witness(cash),
        Reservations(),
        np.full((n_symbols, rules.limits.var_bars), np.nan),
        np.full(n_symbols, np.nan),
        Day(-1, cash, cash),
    )
    return Account(kept, rules)
