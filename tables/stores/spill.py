"""The outage buffer: records that wait for the broker, accepted when they are durable.

What asks at the same moment shares one fsync. A thread of its own does all that touches the disk,
so the loop waits for none of it. Memory holds at most ``QUEUE_RECORDS``: those that wait for the
disk. The rest waits in segments.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import msgspec

from streams import metrics
from streams.transport import Outgoing
from tables.stores.disk import Disk
from tables.stores.errors import SegmentDamaged, SpillFull
from tables.stores.segments import LIMIT_BYTES, SEGMENT_BYTES, Segments

QUEUE_RECORDS = 10_000

# One fsync takes as much as this, so that a burst is answered in parts.
_GROUP_BYTES = 1 << 20
# What is read, sent and marked together.
_DRAIN_RECORDS = 5_000

_ACCEPTS, _FULL, _FAILED = 0, 1, 2
_NS_PER_S = 1_000_000_000

Send = Callable[[Sequence[Outgoing]], Awaitable[None]]
Answer = TypeVar("Answer")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outgoing).decode


class _Asked(NamedTuple):
    """A record that waits for the disk, and who waits for it."""

    payload: bytes
    durable: asyncio.Future[None]


class Spill:
    """Records of one folder that wait for the broker, in the order in which they were put.

    Use as ``async with Spill(folder) as spill``. Opening reads and checks what an earlier process
    left; errors of opening are those of `Segments`.

    Parameters
    ----------
    folder
        Of this process alone; its name is the label of the metrics.
    segment_bytes, limit_bytes
        Of one segment and of all together.
    disk
        Whose room a new segment must find; None to look at none.
    """

    def __init__(
        self,
        folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        limit_bytes: int = LIMIT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._name = folder.name
        self._opening = (folder, segment_bytes, limit_bytes, disk)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix=f"spill-{self._name}")
        self._room = asyncio.Semaphore(QUEUE_RECORDS)
        self._draining = asyncio.Lock()
        self._queue: deque[_Asked] = deque()
        self._n_asked = 0
        self._writing: asyncio.Task[None] | None = None
        self._segments: Segments

    async def __aenter__(self) -> Self:
        try:
            self._segments = await self._on_disk(lambda: Segments(*self._opening))
        except BaseException:
            self._disk.shutdown()
            raise
        self._show()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is not None:
            await self._writing
        closed = asyncio.get_running_loop().run_in_executor(self._disk, self._segments.close)
        # Whoever still drains is refused: behind the close the folder may be another process's.
        self._disk.shutdown(wait=False)
        await closed

    @property
    def n_records(self) -> int:
        """Records that wait: those that are durable, and those that are about to be."""
        return self._segments.n_records + self._n_asked

    @property
    def n_bytes(self) -> int:
        """Bytes that the segments take on disk."""
        return self._segments.n_bytes

    @property
    def oldest_ns(self) -> int:
        """When the oldest durable record was written, on the machine's clock; 0 if none waits."""
        return self._segments.oldest_ns

    async def put(self, record: Outgoing) -> None:
        """Accept a record behind all others; it is durable when this returns.

        A caller that is cancelled knows nothing: its record may have been kept, as after any
        time-out.

        Raises
        ------
        SpillFull
            If there is no room: the record was not kept; a later one may find room.
        SpillFailed
            If the disk failed: no record is accepted before a restart. This one may be on the disk
            and be sent then.
        """
        payload = _encode(record)
        # Given back by the writer: who no longer waits leaves his record in the queue.
        await self._room.acquire()
        asked = _Asked(payload, asyncio.get_running_loop().create_future())
        self._queue.append(asked)
        self._n_asked += 1
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asked.durable

    async def drain(self, send: Send) -> int:
        """Send what waits, in the order in which it came, until nothing does; count it.

        ``send`` returns when the broker has acknowledged all that it was given, and keeps the order
        of each partition, as `Producer.send_all` does. What is put meanwhile is sent as well. If it
        raises, or the process ends, records since the last mark are sent once more: their readers
        know them by their ids.

        Raises
        ------
        SegmentDamaged
            If a record is not what was put.
        """
        n_sent = 0
        async with self._draining:
            # A read stands in line behind the writes that began before it, so this does not spin.
            while self.n_records:
                waiting = await self._on_disk(lambda: self._segments.read(_DRAIN_RECORDS))
                if waiting.payloads:
                    await send([read_record(payload) for payload in waiting.payloads])
                    await self._on_disk(partial(self._segments.forget, waiting))
                    n_sent += len(waiting.payloads)
                    self._show()
        return n_sent

    async def _write(self) -> None:
        """Make what was put durable, in groups, and tell who waits."""
        while self._queue:
            group = self._group()
            payloads = [one.payload for one in group]
            failed: Exception | None = None
            try:
                await self._on_disk(partial(self._segments.append, payloads))
            except Exception as error:  # noqa: BLE001  whoever put a record gets it
                failed = error
            self._n_asked -= len(group)
            self._show(full=isinstance(failed, SpillFull))
            for one in group:
                self._room.release()
                if one.durable.done():
                    continue
                if failed is None:
                    one.durable.set_result(None)
                else:
                    one.durable.set_exception(failed)

    def _group(self) -> list[_Asked]:
        group = [self._queue.popleft()]
        n_bytes = len(group[0].payload)
        while self._queue and n_bytes + len(self._queue[0].payload) <= _GROUP_BYTES:
            group.append(self._queue.popleft())
            n_bytes += len(group[-1].payload)
        return group

    async def _on_disk(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def _show(self, *, full: bool = False) -> None:
        segments = self._segments
        metrics.SPILL_RECORDS.labels(self._name).set(segments.n_records)
        metrics.SPILL_BYTES.labels(self._name).set(segments.n_bytes)
        metrics.SPILL_OLDEST_SECONDS.labels(self._name).set(segments.oldest_ns / _NS_PER_S)
        state = _FAILED if segments.broken else _FULL if full else _ACCEPTS
        metrics.SPILL_STATE.labels(self._name).set(state)


def read_record(payload: bytes) -> Outgoing:
    """Read a record as `Spill.put` wrote it.

    Raises
    ------
    SegmentDamaged
        If it is none.
    """
    try:
        return _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SegmentDamaged(
            f"a waiting record of {len(payload):,} bytes is none of this version ({error}); drain "
            "the folder with the version that wrote it"
        ) from error
