"""What risk said into one partition, each record once, portfolio by portfolio."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.chaos.judge.record import Record, read_object
from tests.chaos.judge.verdict import Invariant

Body = dict[str, Any]
See = Callable[[Record, Body], bool]


class Item(NamedTuple):
    """One record and what it says."""

    record: Record
    said: Body


class Said:
    """A partition as queues by portfolio, read as far as somebody asks.

    Parameters
    ----------
    records
        The partition.
    fields
        What each record must have.
    see
        Called with every record; tells whether it comes for the first time.
    ids
        Takes the violations: records that cannot be read.
    """

    def __init__(
        self, records: Iterator[Record], fields: tuple[str, ...], see: See, ids: Invariant
    ) -> None:
        self._records, self._fields, self._see, self._ids = records, fields, see, ids
        self._waiting: dict[str, deque[Item]] = {}

    def next(self, portfolio: str) -> Item | None:
        """Return a portfolio's next record and leave it there; None at the end."""
        queue = self._waiting.setdefault(portfolio, deque())
        while not queue:
            if not self._read():
                return None
        return queue[0]

    def take(self, portfolio: str) -> Item:
        """Return a portfolio's next record and go on."""
        return self._waiting[portfolio].popleft()

    def left(self) -> Iterator[Item]:
        """Read to the end and yield all that nobody has taken."""
        while self._read():
            pass
        for queue in self._waiting.values():
            yield from queue

    def _read(self) -> bool:
        """Read one more record; False at the end."""
        record = next(self._records, None)
        if record is None:
            return False
        said = read_object(record.value) or {}
        missing = [name for name in self._fields if name not in said]
        if missing:
            found = f"{len(record.value or b'')} bytes without {missing[0]}"
            self._ids.broken(record.place, found, "a JSON record as its schema describes it")
            return True
        try:
            is_first = self._see(record, said)
        except (TypeError, ValueError) as error:
            self._ids.broken(record.place, error, "a JSON record as its schema describes it")
            return True
        portfolio = said["portfolio"]
        if record.key != portfolio.encode():
            self._ids.broken(record.place, f"key {record.key!r}", f"key {portfolio!r}")
        if is_first:
            self._waiting.setdefault(portfolio, deque()).append(Item(record, said))
        return True
