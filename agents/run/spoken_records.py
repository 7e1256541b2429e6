"""What people and venues said to a run's books, and behind which bar each of it acted."""

from dataclasses import dataclass, field

from aiokafka import TopicPartition

from agents.run.topic_log import partitions, reading
from agents.run.topic_range import until
from agents.topology import prefix_of
from models.risk.barrier import BarKey, Barrier
from streams.errors import RecordError
from streams.slices import Slice
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import Record
from tables.book import decode_account
from tables.checkpoint import Checkpoint, place


@dataclass(slots=True)
class Spoken:
    """Records by the close that was decided last when they acted; -1 before the first bar."""

    by_close: dict[int, list[Record]] = field(default_factory=dict)
    n: int = 0

    def add(self, close_ns: int, record: Record) -> None:
        """Take a record, in the order of the log."""
        self.by_close.setdefault(close_ns, []).append(record)
        self.n += 1


def slice_in(value: bytes) -> Slice | None:
    """Return the slice that a record of the book's log is; None for all that are none."""
    if value.startswith(b"{"):
        return None
    try:
        return Slice.decode(value)
    except RecordError:
        return None


async def spoken_records(
    servers: str,
    run: str,
    ends: list[int],
    begin: Checkpoint | None = None,
    after_ns: int = -1,
) -> Spoken:
    """Read the book's log of a run up to some offsets, one a partition.

    Each record is placed by the barrier's own rule; those that acted before the first bar behind
    ``after_ns`` are left out. The log is read from a checkpoint on if there is one.
    """
    spoken = Spoken()
    places = await partitions(servers, prefix_of(run) + PORTFOLIO_EVENTS.name)
    begins = [0] * len(places) if begin is None else begin.book
    for at, first, end in zip(places, begins, ends, strict=True):
        decided = {} if begin is None else _decided(begin, at.partition)
        await _read(servers, (at, first, end), decided, after_ns, spoken)
    return spoken


def _decided(begin: Checkpoint, partition: int) -> dict[bytes, BarKey]:
    accounts = begin.states.get(place("risk", partition), {})
    return {name.encode(): decode_account(state).decided for name, (_, state) in accounts.items()}


async def _read(
    servers: str,
    log: tuple[TopicPartition, int, int],
    decided: dict[bytes, BarKey],
    after_ns: int,
    spoken: Spoken,
) -> None:
    barriers = {key: Barrier[None](bar) for key, bar in decided.items()}
    async with reading(servers) as consumer:
        async for said in until(consumer, *log):
            key, value = said.key or b"", said.value or b""
            barrier = barriers.setdefault(key, Barrier())
            slice_ = slice_in(value)
            if slice_ is None:
                close_ns = barrier.decided[0]
                if close_ns > after_ns or after_ns < 0:
                    spoken.add(close_ns, said)
                continue
            meta = slice_.meta
            bar = (meta.close_ns, meta.rank)
            barrier.put(bar, (meta.partition, meta.chunk), said.offset, None)
            if meta.chunk == meta.n_chunks - 1:
                barrier.complete(bar, meta.partition)
            for _ in barrier.take(meta.n_partitions):
                pass
