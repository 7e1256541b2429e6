"""The stamped table: snapshots of folds in a changelog, written log first; the highest stamp wins.

A value is ``stamp (8 bytes, big endian) + state``. The stamp is the offset up to which the state
has folded its input, so applying a record twice can be seen, and a sleeping writer that wakes up
late cannot put an older state over a newer one at recovery.

Faust writes the local database first and the changelog later, and only logs a changelog write that
failed. Here the changelog is awaited first: the local database is never ahead of it, and a failed
write is an error of the stage.

A local database says up to where it knows the changelog, and a recovery goes on from there. Faust
takes every write of its own for such a place; but where another worker has written before it, which
a sleeping writer does not know, that newer state would be passed over for good.
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


def read_up_to(before: int | None, written: int) -> int | None:
    """Return up to which offset a changelog is known without a gap, behind a write of one's own.

    Examples
    --------
    >>> read_up_to(4, 5), read_up_to(4, 7), read_up_to(None, 0), read_up_to(None, 3)
    (5, 4, 0, None)
    """
    expected = 0 if before is None else before + 1
    return written if written == expected else before


class StampedTable(Table[bytes, bytes]):
    """A Faust table of stamped snapshots; keys live in the partition of the event being folded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  signature of the base
        super().__init__(*args, **kwargs)
        # States behind which the changelog has an older one, with the record of that.
        self._buried: dict[tuple[int, bytes], tuple[Stamped, EventT[Any]]] = {}

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Write again what a sleeper has buried, before anything is folded.

        Compaction would leave the older state alone, and a partition in which nothing happens has
        nobody else to write.
        """
        await super().on_recovery_completed(active_tps, standby_tps)
        here = {tp.partition for tp in active_tps}
        try:
            for (partition, key), (stamped, event) in list(self._buried.items()):
                if partition in here:
                    await self.write(event, key, stamped)
        except Exception as error:  # noqa: BLE001  Faust waits for this, and looks at nothing
            await self.app.crash(error)

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
        self._buried.pop((partition, key), None)
        tp = metadata.topic_partition
        until = read_up_to(self.data.persisted_offset(tp), metadata.offset)
        if until is not None:
            self.data.set_persisted_offset(tp, until)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Recover from the changelog; of one key the highest stamp wins, not the last record.

        A batch may hold several partitions, and each has its own states under the same keys.
        """
        newest: dict[tuple[int, bytes], tuple[Stamped, EventT[Any]]] = {}
        # Faust hands what comes late from a partition that went to whichever table was before it.
        name = self.changelog_topic_name
        events = [event for event in batch if event.message.tp.topic == name]
        for event in events:
            key = (event.message.partition, event.message.key or b"")
            stamped = Stamped.decode(event.message.value or b"")
            held, _ = newest.get(key) or (self.read(event, key[1]), None)
            if held is None or stamped.next_offset >= held.next_offset:
                newest[key] = stamped, event
                self._buried.pop(key, None)
            else:
                self._buried[key] = held, event
        super().apply_changelog_batch(event for _, event in newest.values())
        for tp, offset in {event.message.tp: event.message.offset for event in events}.items():
            self.data.set_persisted_offset(tp, offset)
