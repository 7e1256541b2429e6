"""The stamped table: snapshots of folds in a changelog, written log first; the highest stamp wins.

A value is ``stamp (8 bytes, big endian) + state``. The stamp is the offset up to which the state
has folded its input, so applying a record twice can be seen, and a sleeping writer that wakes up
late cannot put an older state over a newer one at recovery.

Faust writes the local database first and the changelog later, and only logs a changelog write that
failed. Here the changelog is awaited first: the local database is never ahead of it, and a failed
write is an error of the stage.
"""

import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

from faust.streams import _current_event
from faust.tables import Table
from faust.types import TP, EventT
from faust.types.tuples import RecordMetadata

from streams.away import until_back

_STAMP_BYTES = 8


class Stamped(NamedTuple):
    """A state and the next offset that it has not folded yet."""

    next_offset: int
    state: bytes

    def encode(self) -> bytes:
        """Return the table's value."""
        return self.next_offset.to_bytes(_STAMP_BYTES, "big") + self.state

    @classmethod
    def decode(cls, value: bytes) -> "Stamped":
        """Read a table's value."""
        return cls(int.from_bytes(value[:_STAMP_BYTES], "big"), value[_STAMP_BYTES:])


class StampedTable(Table[bytes, bytes]):
    """A Faust table of stamped snapshots; keys live in the partition of the event being folded."""

    def read(self, event: EventT[Any], key: bytes) -> Stamped | None:
        """Return the snapshot of ``key`` in the event's partition."""
        token = _current_event.set(weakref.ref(event))
        try:
            value = self.data.get(key)
        finally:
            _current_event.reset(token)
        return None if value is None else Stamped.decode(value)

    async def write(self, event: EventT[Any], key: bytes, stamped: Stamped) -> None:
        """Make a snapshot durable in the changelog, then keep it locally."""
        value = stamped.encode()
        partition = event.message.partition

        async def send() -> RecordMetadata:
            sent = await self.changelog_topic.send(
                key=key, value=value, partition=partition, force=True
            )
            return await sent

        metadata = await until_back(send)
        token = _current_event.set(weakref.ref(event))
        try:
            self.data[key] = value
        finally:
            _current_event.reset(token)
        self.data.set_persisted_offset(metadata.topic_partition, metadata.offset)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Recover from the changelog; of one key the highest stamp wins, not the last record.

        A batch may hold several partitions, and each has its own states under the same keys.
        """
        newest: dict[tuple[TP, bytes], EventT[Any]] = {}
        events = list(batch)
        for event in events:
            key = (event.message.tp, event.message.key or b"")
            held = newest.get(key)
            if held is None or _stamp(event) >= _stamp(held):
                newest[key] = event
        super().apply_changelog_batch(event for event in newest.values() if self._is_newer(event))
        for tp, offset in {event.message.tp: event.message.offset for event in events}.items():
            self.data.set_persisted_offset(tp, offset)

    def _is_newer(self, event: EventT[Any]) -> bool:
        held = self.read(event, event.message.key or b"")
        return held is None or _stamp(event) >= held.next_offset


def _stamp(event: EventT[Any]) -> int:
    return Stamped.decode(event.message.value or b"").next_offset
