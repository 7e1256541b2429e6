"""``venue-executions -> portfolio-events``: what venues report enters the book's one log.

A report is checked for shape and copied under its portfolio's key; whether it fits the book is for
the book to say. What is no execution is a dead letter.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from agents.stage import Output, Reader, Snapshot
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError
from streams.instructions import check_headers, read_venue_execution
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import Record

# Records after which progress is due; nothing else is kept.
SNAPSHOT_RECORDS = 256

_JSON = msgspec.json.Encoder()


@dataclass(slots=True)
class ExecutionFold:
    """The copy of one partition of ``venue-executions``; it remembers how far it has read."""

    read: Reader
    next_offset: int = 0
    n_since: int = 0

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Copy a report into the log of its portfolio."""
        self.next_offset = record.offset + 1
        self.n_since += 1
        value = record.value or b""
        try:
            check_headers(record.headers)
            said = read_venue_execution(value)
        except RecordError as error:
            origin = Origin(record.topic, record.partition, record.offset, key=record.key)
            return (DeadLetter.of(error, origin, "execution", value),)
        key = said.portfolio.encode()
        return (Output(PORTFOLIO_EVENTS.name, key, _JSON.encode(said), record.headers),)

    def due(self) -> bool:
        """Tell whether enough was copied to note the progress."""
        return self.n_since >= SNAPSHOT_RECORDS

    def snapshot(self) -> Snapshot:
        """Return no state: the progress is all."""
        self.n_since = 0
        return Snapshot({}, self.next_offset)
