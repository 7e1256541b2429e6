"""The book's log of a recorded run, walked again: its records act behind the very slices they did.

Slices come from the chain, not from the log: the log only says in which order a portfolio took
them, and which records of people and venues stood between. Where a range ends before the log does,
one partition's slices beyond the end may stand before another's last: they are passed over, and a
portfolio's part of the log is over where all partitions are beyond, because there it decided a bar
of which the range knows nothing.
"""

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from agents.run.in_process import Books, Said
from agents.run.spoken_records import slice_in
from streams.slices import Slice, SliceKey
from streams.transport import Record
from tables.checkpoint import Checkpoint


class _Place(NamedTuple):
    """Which slice of a portfolio a record is, and how it stands in its bar."""

    name: str
    partition: int
    key: SliceKey


class _Found(NamedTuple):
    """A slice in the log; ``is_last`` of its bar and partition, of so many partitions."""

    place: _Place
    is_last: bool
    n_partitions: int


class RecordedBooks:
    """Books that wait for the order of a recorded log.

    Parameters
    ----------
    books
        Those that act.
    logs
        The partitions of the recorded log, each in order.
    last_ns
        Close of the last bar that the chain makes.
    begin
        Where the chain went on from. Slices that it had made before stand in the log alone.
    """

    def __init__(
        self,
        books: Books,
        logs: list[AsyncIterator[Record]],
        last_ns: int,
        begin: Checkpoint | None = None,
    ) -> None:
        self._books = books
        self._logs = dict(enumerate(logs))
        self._last_ns = last_ns
        self._begin = begin
        self._next: dict[int, tuple[Record, _Found | None]] = {}
        self._made: dict[_Place, Slice] = {}
        self._taken: dict[tuple[str, int], SliceKey] = {}
        self._beyond: dict[str, set[int]] = {}
        self._over: set[str] = set()
        self.has_news = False
        self.n_records = 0

    def take(self, slice_: Slice) -> Iterator[Said]:
        """Keep what prediction made until the log asks for it."""
        for name, rows in self._books.split(slice_):
            self._made[_Place(name, slice_.meta.partition, slice_.key)] = rows
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

    async def _peek(self, number: int) -> tuple[Record, _Found | None] | None:
        """Return the next record of a partition, and what slice it is, if it is one."""
        if number not in self._next:
            record = await anext(self._logs[number], None)
            if record is None:
                return None
            self._next[number] = record, _found_in(record)
        return self._next[number]

    def _said(self, record: Record, found: _Found | None) -> Iterator[Said] | None:
        """Return what a record causes, None if its slice is not made yet."""
        if _name_of(record) in self._over:
            return iter(())
        if found is None:
            self.n_records += 1
            return self._books.read(record)
        place = found.place
        if place.key.close_ns > self._last_ns:
            self._pass_over(found)
            return iter(())
        taken_by = place.name, place.partition
        last = self._taken.get(taken_by)
        if last is not None and place.key <= last:
            return iter(())  # sent again after a restart
        made = self._made.pop(place, None)
        if made is None:
            return self._books.read(record) if self._is_folded(place) else None
        self._taken[taken_by] = place.key
        return self._books.give(record._replace(value=None), made)

    def _is_folded(self, place: _Place) -> bool:
        return self._begin is not None and self._begin.is_folded(place.partition, place.key)

    def _pass_over(self, found: _Found) -> None:
        if found.is_last:
            beyond = self._beyond.setdefault(found.place.name, set())
            beyond.add(found.place.partition)
            if len(beyond) == found.n_partitions:
                self._over.add(found.place.name)


def _name_of(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")


def _found_in(record: Record) -> _Found | None:
    """Return which slice a record is; None for all that are none."""
    slice_ = slice_in(record.value or b"")
    if slice_ is None:
        return None
    meta = slice_.meta
    place = _Place(_name_of(record), meta.partition, slice_.key)
    return _Found(place, meta.chunk == meta.n_chunks - 1, meta.n_partitions)
