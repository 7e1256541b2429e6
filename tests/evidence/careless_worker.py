"""``python -m tests.evidence.careless_worker``: a worker that acknowledges by itself.

The same chain, but as a stream processor does it out of the box: outputs and snapshots are handed
over and not waited for, what was read is acknowledged at once, and the producer is not idempotent.
It loses and repeats decisions when it is killed; it is the peer of ``price-of-once``.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faust.streams import _current_event
from faust.types import EventT

import agents.stage
from agents.cli import main
from streams.transport import Outgoing, Producer, Record, _built, consumer_of
from tables.stamped import Stamped, StampedTable

_Task = agents.stage._PartitionTask
_step = _Task._step


async def send_all(
    self: Producer, records: Iterable[Outgoing], handed_over: Callable[[], None]
) -> None:
    """Hand records over, as the true one does, and do not wait."""
    producer = self._ensure_producer()
    batches: dict[tuple[str, int], list[Outgoing]] = {}
    for record in records:
        batches.setdefault((record.topic, self._place(record)), []).append(record)
    for (topic, partition), batch in batches.items():
        for builder in _built(producer, batch):
            await producer.send_batch(builder, topic, partition=partition)
    handed_over()


async def write(self: StampedTable, event: EventT[Any], key: bytes, stamped: Stamped) -> None:
    """Hand a snapshot over, do not wait, and keep it locally as the true one does."""
    value, partition = stamped.encode(), event.message.partition
    await self.changelog_topic.send(key=key, value=value, partition=partition, force=True)
    token = _current_event.set(weakref.ref(event))
    try:
        self.data[key] = value
    finally:
        _current_event.reset(token)


async def step(self: _Task, records: list[Record]) -> None:
    """Acknowledge what was read as soon as it was folded."""
    await _step(self, records)
    consumer_of(self.stage.app).advance(self.tp, records[-1].offset + 1)


def settings(_: Producer) -> Mapping[str, Any]:
    """Leave the producer's settings as they are by default."""
    return {}


if __name__ == "__main__":
    Producer.send_all, Producer._settings_extra = send_all, settings
    StampedTable.write, _Task._step = write, step
    main()
