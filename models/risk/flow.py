"""The flow of orders: how many were sent lately, how often the same, and whether just now.

Time is the account's own, so a replay counts as the live run did. Only approved orders count: what
was refused never left.
"""

from collections import deque
from typing import NamedTuple

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


class Sent(NamedTuple):
    """An approved order as the throttles remember it."""

    at_ns: int
    strategy: str
    symbol: str
    lots: int
    price_e8: int


class OrderFlow:
    """Approved orders of the last minute, and the number of those of the day.

    Parameters
    ----------
    recent
        What was sent, in order of time.
    n_today
        Orders since the day began.
    """

    def __init__(self, recent: tuple[Sent, ...] = (), n_today: int = 0) -> None:
        self.recent: deque[Sent] = deque()
        self.n_today = n_today
        self._last_second: deque[int] = deque()
        self._repeats: dict[tuple[str, str, bool], int] = {}
        self._equal: dict[tuple[str, int, int], int] = {}
        for sent in recent:
            self._count(sent)

    def note(self, sent: Sent) -> None:
        """Count an order that was approved now."""
        self.n_today += 1
        self._count(sent)

    def without(self, strategy: str, symbol: str, lots: int) -> "OrderFlow":
        """Return the flow without the newest order of this kind, which was never sent after all."""
        recent = list(self.recent)
        for at in range(len(recent) - 1, -1, -1):
            if (recent[at].strategy, recent[at].symbol, recent[at].lots) == (
                strategy,
                symbol,
                lots,
            ):
                del recent[at]
                return OrderFlow(tuple(recent), self.n_today - 1)
        return self

    def forget(self, now_ns: int) -> None:
        """Let go what is older than the windows that look at it."""
        while self._last_second and self._last_second[0] <= now_ns - SECOND_NS:
            self._last_second.popleft()
        while self.recent and self.recent[0].at_ns <= now_ns - MINUTE_NS:
            old = self.recent.popleft()
            key = (old.strategy, old.symbol, old.lots > 0)
            self._repeats[key] -= 1
            if not self._repeats[key]:
                del self._repeats[key]
            equal = (old.symbol, old.lots, old.price_e8)
            if self._equal.get(equal) == old.at_ns:
                del self._equal[equal]

    def new_day(self) -> None:
        """Begin the day's count anew."""
        self.n_today = 0

    def in_last_second(self) -> int:
        """Return the orders of the last second, the present one included."""
        return len(self._last_second)

    def repeats(self, strategy: str, symbol: str, *, is_buy: bool) -> int:
        """Return how often a strategy sent this symbol and side within the last minute."""
        return self._repeats.get((strategy, symbol, is_buy), 0)

    def last_equal_ns(self, symbol: str, lots: int, price_e8: int) -> int | None:
        """Return when an equal order was last sent, None if not within the last minute."""
        return self._equal.get((symbol, lots, price_e8))

    def _count(self, sent: Sent) -> None:
        self.recent.append(sent)
        self._last_second.append(sent.at_ns)
        key = (sent.strategy, sent.symbol, sent.lots > 0)
        self._repeats[key] = self._repeats.get(key, 0) + 1
        self._equal[sent.symbol, sent.lots, sent.price_e8] = sent.at_ns
