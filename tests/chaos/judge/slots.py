"""I1: every bar has its decision in each portfolio that trades its symbol, and none has no bar."""

from collections.abc import Iterable
from typing import Any

from tests.chaos.judge.documents import Portfolio
from tests.chaos.judge.exact import time_ns, time_text
from tests.chaos.judge.record import Record
from tests.chaos.judge.verdict import Invariant

_VOID = "INPUT_VOID"


class Slots:
    """The bars of the run, and which of them each portfolio has decided."""

    def __init__(self, slots: Invariant) -> None:
        self._slots = slots
        self._bars: dict[int, frozenset[str]] = {}
        self._left: dict[tuple[str, int], frozenset[str]] = {}
        self._void: set[tuple[str, int]] = set()

    def closed(self, close_ns: int, symbols: Iterable[str]) -> None:
        """Take note of bars that have closed."""
        self._bars[close_ns] = self._bars.get(close_ns, frozenset()).union(symbols)

    def voided(self, portfolio: str, close_ns: int) -> None:
        """Take note that a slice of this bar could not be used: symbols without a bar are told."""
        self._void.add((portfolio, close_ns))

    def decided(self, portfolio: Portfolio, said: dict[str, Any], at: Record) -> None:
        """Take note of a decision, when it comes for the first time."""
        self._slots.n_checked += 1
        close_ns = time_ns(said["timestamp"])
        slot = (portfolio.id, close_ns)
        left = self._left.get(slot)
        if left is None:
            left = self._bars.get(close_ns, frozenset()) & portfolio.universe
        if said["symbol"] in left:
            self._left[slot] = left - {said["symbol"]}
        elif said.get("note") != _VOID or slot not in self._void:
            found = f"a decision on {said['symbol']} at {said['timestamp']}"
            self._slots.broken(at.place, found, "none: there is no such bar, or it was decided")

    def check(self, portfolio: Portfolio, until_ns: int | None) -> None:
        """Look for bars without decision, up to a close; None for all."""
        for close_ns in sorted(self._bars):
            if until_ns is not None and close_ns > until_ns:
                return
            all_of = self._bars[close_ns] & portfolio.universe
            for symbol in sorted(self._left.get((portfolio.id, close_ns), all_of)):
                where = f"trading-decisions, portfolio {portfolio.id}, {time_text(close_ns)}"
                self._slots.broken(where, "no decision", f"one on {symbol}")
