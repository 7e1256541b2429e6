"""I3: what is said about a portfolio comes in the order of its bars.

First occurrences only: a restart sends again what it has sent, and I2 sees that it is the same.
Within a bar, what reduces comes first, then falling confidence, then symbols in order.
"""

from decimal import Decimal
from typing import Any

from tests.chaos.judge.exact import time_ns, time_text
from tests.chaos.judge.record import Record
from tests.chaos.judge.verdict import Invariant

_Rank = tuple[int, Decimal, str]


class Order:
    """Where each portfolio stands in each topic."""

    def __init__(self, order: Invariant) -> None:
        self._order = order
        self._at_ns: dict[tuple[str, str], int] = {}
        self._rank: dict[tuple[str, int], _Rank] = {}

    def take(self, portfolio: str, at: str, record: Record) -> None:
        """Check that a record is not older than the one before it."""
        self._order.n_checked += 1
        at_ns, where = time_ns(at), (record.topic, portfolio)
        before_ns = self._at_ns.setdefault(where, at_ns)
        if at_ns < before_ns:
            self._order.broken(record.place, at, f"{time_text(before_ns)} or later")
        self._at_ns[where] = max(at_ns, before_ns)

    def decision(self, said: dict[str, Any], record: Record) -> None:
        """Check a decision's place in its bar; orders of people and void ones have none."""
        if said.get("intent_id") or said.get("note") == "INPUT_VOID":
            return
        bar = (said["portfolio"], time_ns(said["timestamp"]))
        rank = (said["action"] != "SELL", -said["confidence"], said["symbol"])
        before = self._rank.get(bar)
        if before is None:
            self._rank = {k: v for k, v in self._rank.items() if k[0] != bar[0]}
        elif rank < before:
            expected = f"{before[2]} (confidence {-before[1]}) after it: sales, then confidence"
            self._order.broken(record.place, f"{said['action']} {said['symbol']}", expected)
        self._rank[bar] = max(rank, before or rank)
