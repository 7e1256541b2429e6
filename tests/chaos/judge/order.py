"""I3: what is said about a portfolio comes in the order of its bars.

First occurrences only: a restart sends again what it has sent, and I2 sees that it is the same.
A decision that was made aside is as old as it was when it was made: bars may stand before it, and
only those that were made aside must be in order among themselves.
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
        self._late: dict[str, tuple[Record, str, int]] = {}

    def take(self, portfolio: str, at: str, record: Record, answers: str = "") -> None:
        """Check that a record is not older than the one before it.

        One that ``answers`` an intent, under this id, may turn out to have been made aside.
        """
        self._order.n_checked += 1
        at_ns, where = time_ns(at), (record.topic, portfolio)
        before_ns = self._at_ns.setdefault(where, at_ns)
        if at_ns < before_ns:
            if answers:
                self._late[answers] = record, at, before_ns
            else:
                self._tell(record, at, before_ns)
        self._at_ns[where] = max(at_ns, before_ns)

    def aside(self, portfolio: str, decision_id: str, at: str, record: Record) -> None:
        """Take note that a decision was made aside, and check it against those before it."""
        self._late.pop(decision_id, None)
        self.take(portfolio, at, record._replace(topic="decisions made aside"))

    def finish(self) -> None:
        """Look for answers that were late and not made aside."""
        for record, at, before_ns in self._late.values():
            self._tell(record, at, before_ns)

    def _tell(self, record: Record, at: str, before_ns: int) -> None:
        self._order.broken(record.place, at, f"{time_text(before_ns)} or later")

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
