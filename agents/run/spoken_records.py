"""What people and venues said to a run's books, and behind which bar each of it acted."""

from dataclasses import dataclass, field

from aiokafka import TopicPartition

from agents.run.topic_log import partitions, reading
from agents.run.topic_range import until
from agents.topology import prefix_of
from models.risk.barrier import Barrier
from streams.errors import RecordError
from streams.slices import Slice
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import Record


@dataclass(slots=True)
class Spoken:
    """Records by the close that was decided last when they acted; -1 before the first bar."""

    by_close: dict[int, list[Record]] = field(default_factory=dict)
    n: int = 0

    def add(self, close_ns: int, record: Record) -> None:
        """Take a record, in the order of the log."""
        self.by_close.setdefault(close_ns, []).append(record)
        self.n += 1


async def spoken_records(servers: str, run: str, ends: list[int]) -> Spoken:
    """Read the book's log of a run up to some offsets, one a partition.

    Each record is placed by the barrier's own rule.
    """
    spoken = Spoken()
    places = await partitions(servers, prefix_of(run) + PORTFOLIO_EVENTS.name)
    for place, end in zip(places, ends, strict=True):
        await _read(servers, place, end, spoken)
    return spoken


async def _read(servers: str, place: TopicPartition, end: int, spoken: Spoken) -> None:
    barriers: dict[bytes, Barrier[None]] = {}
    async with reading(servers) as consumer:
        async for said in until(consumer, place, 0, end):
            key, value = said.key or b"", said.value or b""
            barrier = barriers.setdefault(key, Barrier())
            try:
                slice_ = None if value.startswith(b"{") else Slice.decode(value)
            except RecordError:
                slice_ = None
            if slice_ is None:
                spoken.add(barrier.decided[0], said)
                continue
            meta = slice_.meta
            bar = (meta.close_ns, meta.rank)
            barrier.put(bar, (meta.partition, meta.chunk), said.offset, None)
            if meta.chunk == meta.n_chunks - 1:
                barrier.complete(bar, meta.partition)
            for _ in barrier.take(meta.n_partitions):
                pass
