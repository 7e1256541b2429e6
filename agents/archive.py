"""``slices, accounts, changes of books, explanations -> SQL``; a role of its own, off the path.

Offsets are committed after the rows are durable, and a row that is there already stays as it was:
after a crash some records are read again and change nothing. While the database is away records
wait in segments on disk, so that no topic's retention takes them; the segments are synchronised
before anything newer is written. What cannot be read becomes a dead letter, and so does what
contradicts a row.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from agents.archive_gaps import Gap, Reach, commit, tell
from agents.giving_way import gathered
from agents.topology import prefix_of
from streams import metrics, topics
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError
from streams.failpoints import reach
from streams.slices import Slice
from streams.transport import Outgoing, Record
from tables.account_rows import change_rows, snapshot_rows
from tables.archive import ARCHIVE_GAPS, EPOCHS, Rows, RunKey, regime_rows, weight_rows
from tables.explanations import explanation_rows
from tables.stores.artifacts import Artifacts, canonical_json
from tables.stores.errors import SpillFull, StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore, Written
from tables.stores.spill import Spill

log = logging.getLogger("tradewind.archive")

STAGE = "archive"

# Records of one transaction: large enough for COPY to pay, small enough to be read again quickly.
_BATCH_RECORDS = 256
_POLL_MS = 500
_WAIT_S_MAX = 30.0

# Two writers are at work under one name, or a run was replayed into its own rows.
_OTHER = "ROW_DIFFERS"

# A record's place in its topic, while it waits on disk.
_OFFSET = "offset"

_Read = tuple[Record, list[Rows]]

_SLICES: Mapping[str, Callable[[RunKey, Slice], Rows]] = {
    topics.REGIME_PROBABILITIES.name: regime_rows,
    topics.STRATEGY_WEIGHTS.name: weight_rows,
}
SOURCES = (
    *_SLICES,
    topics.PORTFOLIO_SNAPSHOTS.name,
    topics.PORTFOLIO_EVENTS.name,
    topics.EXPLANATIONS.name,
)


def group_of(run: str) -> str:
    """Return the consumer group of a run's archive."""
    return f"{prefix_of(run)}tradewind-{STAGE}"


def spill_folder(home: Path, run: str) -> Path:
    """Return where a run's records wait while the database is away."""
    return home / "spill" / (f"{STAGE}-{run}" if run else STAGE)


class Archive:
    """The archive of one run.

    Parameters
    ----------
    run
        Name of the run; empty for the live one.
    of
        Whose rows they are in SQL.
    consumer, producer
        Of the run's topics and for dead letters; started and stopped by the caller.
    store
        Where the rows go.
    artifacts
        Where the documents of epochs are.
    reach
        How far the run's archive has come.
    spill
        Where records wait while the database is away; opened and closed by the caller.
    """

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        run: str,
        of: RunKey,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        store: RowStore,
        artifacts: Artifacts,
        reach: Reach,
        spill: Spill,
    ) -> None:
        self._run = run
        self._of = of
        self._consumer = consumer
        self._producer = producer
        self._store = store
        self._artifacts = artifacts
        self._reach = reach
        self._spill = spill
        self._spilled = asyncio.Event()
        for topic in SOURCES:
            metrics.ARCHIVE_LOST_RECORDS.labels(topic)
        self._epochs: set[tuple[int, str]] = set()

    async def work(self) -> None:
        """Read, keep and commit until cancelled."""
        tasks = [asyncio.create_task(work) for work in (self._follow(), self.synchronise())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            fetched = await gathered(self._consumer, _POLL_MS, _BATCH_RECORDS)
            await self.tell(await self._reach.gaps(fetched))
            if fetched:
                await self.take(
                    [
                        Record(one.topic, one.partition, one.offset, one.key, one.value, [])
                        for records in fetched.values()
                        for one in records
                    ]
                )
                reach(STAGE, "before-mark")
                await commit(self._consumer, self._reach.after(fetched))

    async def synchronise(self) -> None:
        """Keep what waits on disk, in its order, whenever something does, until cancelled."""
        self._spilled.set()
        while True:
            await self._spilled.wait()
            self._spilled.clear()
            if n_kept := await self._spill.drain(self._keep_spilled):
                log.warning("the database is back: %d records that waited on disk are rows", n_kept)

    async def tell(self, gaps: Sequence[Gap]) -> None:
        """Say, count and keep what the broker deleted before it was kept."""
        tell(gaps)
        if gaps:
            told = [Record(ARCHIVE_GAPS.name, 0, 0, None, msgspec.json.encode(g), []) for g in gaps]
            await self.take(told)

    async def take(self, records: Sequence[Record]) -> None:
        """Make records durable: as rows, or on disk while the database is away.

        Where the disk has no room the topics are the buffer: nothing is committed, and reading
        waits.
        """
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(SpillFull),
            wait=wait_random_exponential(multiplier=0.5, max=_WAIT_S_MAX),
            before_sleep=_say,
        ):
            with attempt:
                await self._take(records)

    async def _take(self, records: Sequence[Record]) -> None:
        if not self._spill.n_records:
            try:
                await self.keep(records)
            except StoreUnavailable as error:
                log.warning("the database is away, records wait on disk: %s", error)
            else:
                return
        await asyncio.gather(*(self._spill.put(_waiting(record)) for record in records))
        self._spilled.set()

    async def _keep_spilled(self, waiting: Sequence[Outgoing]) -> None:
        """Make rows of what waited on disk, however long the database is still away."""
        for begin in range(0, len(waiting), _BATCH_RECORDS):
            records = [_record(one) for one in waiting[begin : begin + _BATCH_RECORDS]]
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(StoreUnavailable),
                wait=wait_random_exponential(multiplier=0.5, max=_WAIT_S_MAX),
                before_sleep=_say,
            ):
                with attempt:
                    await self.keep(records)
        reach(STAGE, "before-mark")

    async def keep(self, records: Sequence[Record]) -> None:
        """Make the rows of some records durable.

        Raises
        ------
        StoreUnavailable
            If the database is away; the same call may be repeated.
        """
        read: list[_Read] = []
        letters: list[DeadLetter] = []
        for record in records:
            try:
                read.append((record, self._rows(record)))
            except RecordError as error:
                letters.append(_letter(record, error))
        try:
            letters += await self._put(read)
        except StoreConflict:
            letters += await self._one_by_one(read)
        await self._bury(letters)

    async def _one_by_one(self, read: Sequence[_Read]) -> list[DeadLetter]:
        """Keep what the database takes; return the rest."""
        letters: list[DeadLetter] = []
        for one in read:
            try:
                letters += await self._put([one])
            except StoreConflict as error:
                letters.append(_letter(one[0], RecordError("REFUSED_BY_SQL", str(error))))
        return letters

    async def _put(self, read: Sequence[_Read]) -> list[DeadLetter]:
        """Make rows durable; return the records that contradict what is there."""
        numbered = [(record, rows) for record, batches in read for rows in batches]
        written = await self._write([rows for _, rows in numbered])
        letters = []
        for conflict in written.conflicts:
            metrics.ARCHIVE_CONFLICTS.labels(conflict.table.name).inc(conflict.n_rows)
            letters.append(_letter(numbered[conflict.batch][0], RecordError(_OTHER, str(conflict))))
        return letters

    async def _write(self, batches: Sequence[Rows]) -> Written:
        written = await self._store.put(batches)
        for table, n_new in written.new.items():
            metrics.ARCHIVED_ROWS.labels(table).inc(n_new)
            metrics.ARCHIVE_CONFLICTS.labels(table)
        for rows in batches:
            if rows.table is EPOCHS:
                self._epochs.update((epoch, digest) for *_, epoch, digest, _document in rows.values)
        return written

    def _rows(self, record: Record) -> list[Rows]:
        if record.topic == ARCHIVE_GAPS.name:
            return [msgspec.json.decode(record.value or b"", type=Gap).row(self._of)]
        topic = record.topic.removeprefix(prefix_of(self._run))
        value = record.value or b""
        if topic == topics.PORTFOLIO_SNAPSHOTS.name:
            return snapshot_rows(self._of, value)
        if topic == topics.EXPLANATIONS.name:
            return explanation_rows(self._of, value)
        if topic == topics.PORTFOLIO_EVENTS.name:
            return change_rows(self._of, value, record.partition, record.offset)
        return self._slice_rows(topic, Slice.decode(value))

    def _slice_rows(self, topic: str, slice_: Slice) -> list[Rows]:
        rows = [_SLICES[topic](self._of, slice_)] if slice_.n_rows else []
        epoch = (slice_.meta.epoch, slice_.meta.epoch_digest)
        if epoch not in self._epochs:
            document = canonical_json(self._artifacts.load_json(epoch[1])).decode()
            rows.append(Rows(EPOCHS, [(*self._of, *epoch, document)]))
        return rows

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        topic = prefix_of(self._run) + topics.DEAD_LETTERS.name
        for letter in letters:
            metrics.DEAD_LETTERS.labels(STAGE, letter.reason).inc()
            said = (letter.origin.id(), letter.reason, letter.detail)
            log.warning("dead letter %s: %s %s", *said, extra=letter.origin.named())
            await self._producer.send_and_wait(
                topic, letter.raw, key=letter.origin.id().encode(), headers=letter.headers()
            )


def _letter(record: Record, error: RecordError) -> DeadLetter:
    origin = Origin(record.topic, record.partition, record.offset, key=record.key)
    return DeadLetter.of(error, origin, STAGE, record.value or b"")


def _waiting(record: Record) -> Outgoing:
    """Return a record as it waits on disk."""
    place = [(_OFFSET, str(record.offset).encode())]
    return Outgoing(record.topic, record.key, record.value or b"", place, record.partition)


def _record(waiting: Outgoing) -> Record:
    """Return a record as it was read."""
    ((_, offset),) = waiting.headers
    place = (waiting.topic, waiting.partition or 0, int(offset))
    return Record(*place, waiting.key, waiting.value, [])


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    wait_s: Any = state.next_action.sleep if state.next_action is not None else 0.0
    log.warning("trying again in %.1f s: %s", wait_s, error)
