"""A tape: market events in time order, whatever they came from.

A tape yields one :class:`Interval` per bar boundary that has events, with the events of each symbol
as ready JSON ticks; replaying it is sending the intervals and a heartbeat after each.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from streams.records import Tick


class Interval(NamedTuple):
    """All events of one bar: the bar's close and its ticks, in time order per symbol."""

    close_ns: int
    ticks: dict[str, list[Tick]]

    def n_ticks(self) -> int:
        """Return the number of ticks."""
        return sum(len(ticks) for ticks in self.ticks.values())


class Tape(Protocol):
    """Something that can be replayed."""

    @property
    def name(self) -> str:
        """What is shown to people, with where the events come from."""
        ...

    @property
    def identity(self) -> str:
        """What the events are, by content: models fitted on one tape are not another's."""
        ...

    @property
    def timeframe(self) -> str:
        """Base timeframe of its bars."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in symbol order."""
        ...

    def closes_ns(self) -> list[int]:
        """Return the close of every bar that has events, in time order."""
        ...

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the intervals whose close lies between the two, both included."""
        ...
