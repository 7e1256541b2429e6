"""The book's log of a recorded run, walked again: its records act behind the very slices they did.

Slices come from the chain, not from the log: the log only says in which order a portfolio took
them, and which records of people and venues stood between.
"""

from collections.abc import AsyncIterator, Iterator

from agents.run.in_process import Books, Said
from streams.errors import RecordError
from streams.slices import Slice, SliceKey
from streams.transport import Record

_Place = tuple[str, int, SliceKey]


class RecordedBooks:
    """Books that wait for the order of a recorded log.

    Parameters
    ----------
    books
        Those that act.
    logs
        The partitions of the recorded log, each in order.
    """

    def __init__(self, books: Books, logs: list[AsyncIterator[Record]]) -> None:
        self._books = books
        self._logs = dict(enumerate(logs))
        self._next: dict[int, tuple[Record, _Place | None]] = {}
        self._made: dict[_Place, Slice] = {}
        self._taken: dict[tuple[str, int], SliceKey] = {}
        self.has_news = False
        self.n_records = 0

    def take(self, slice_: Slice) -> Iterator[Said]:
        """Keep what prediction made until the log asks for it."""
        for name, rows in self._books.split(slice_):
            self._made[name, slice_.meta.partition, slice_.key] = rows
        self.has_news = True
        return iter(())

    async def catch_up(self) -> AsyncIterator[Said]:
        """Walk every partition of the log as far as the slices made so far allow."""
        self.has_news = False
        for number in list(self._logs):
            while (found := await self._peek(number)) is not None:
                said = self._said(*found)
                if said is None:
                    break
                del self._next[number]
                for each in said:
                    yield each

    async def _peek(self, number: int) -> tuple[Record, _Place | None] | None:
        """Return the next record of a partition, and its place if it is a slice."""
        if number not in self._next:
            record = await anext(self._logs[number], None)
            if record is None:
                return None
            self._next[number] = record, _place_of(record)
        return self._next[number]

    def _said(self, record: Record, place: _Place | None) -> Iterator[Said] | None:
        """Return what a record causes, None if its slice is not made yet."""
        if place is None:
            self.n_records += 1
            return self._books.read(record)
        name, partition, key = place
        last = self._taken.get((name, partition))
        if last is not None and key <= last:
            return iter(())  # sent again after a restart
        made = self._made.pop(place, None)
        if made is None:
            return None
        self._taken[name, partition] = key
        return self._books.give(name, made)


def _place_of(record: Record) -> _Place | None:
    """Return which slice a record is; None for all that are none."""
    if (record.value or b"").startswith(b"{"):
        return None
    try:
        slice_ = Slice.decode(record.value or b"")
    except RecordError:
        return None
    return (record.key or b"").decode(errors="replace"), slice_.meta.partition, slice_.key
