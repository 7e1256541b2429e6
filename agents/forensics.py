"""``trading-decisions -> audit trail``: rows in SQL, heads on ``audit-heads`` and in a file.

A role of its own, which trading never waits for. Batches go to SQL while the next one is read;
there is one on its way at most, so a slow database slows the reading and the topic is the buffer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from agents.archive_gaps import Fetched, Reach, commit, tell
from agents.giving_way import gathered
from agents.topology import prefix_of
from streams import clock, metrics, topics
from streams.audit import AuditHead
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError
from tables.archive import RunKey
from tables.audit_chain import AuditChain
from tables.audit_rows import AuditRow
from tables.stores.audit_key import AuditKey, HeadFile
from tables.stores.audit_store import AuditStore, ChainMoved
from tables.stores.daily_marks import SHELF, last_done_ns
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore

log = logging.getLogger("tradewind.forensics")

STAGE = "forensics"
SOURCE = topics.TRADING_DECISIONS.name

# Of one transaction; COPY gains nothing from more.
_BATCH_RECORDS = 2_000
# From Kafka at once, of one partition: a thousand decisions.
FETCH_BYTES = 4 << 20
_POLL_MS = 200
_WAIT_S_MAX = 30.0
# Rows of a partition that fell silent get their head after a minute all the same.
_QUIET_S = 60.0
# How often the broker is asked where the partitions end.
_WATCH_S = 5.0
# Whoever ends this role waits so long for the last head; without it the next start makes one.
_LAST_S = 5.0
_MS = 1e-3

Done = TypeVar("Done")


def group_of(run: str) -> str:
    """Return the consumer group of a run's audit trail."""
    return f"{prefix_of(run)}tradewind-{STAGE}"


class Parts(NamedTuple):
    """What the role works with, started and stopped by the caller.

    Attributes
    ----------
    consumer, producer
        Of the run's decisions, without automatic commits; of heads and dead letters.
    reach
        How far the group has come.
    store, gaps
        Where the rows go, and those that say what is missing.
    key, home
        Who signs, and where the file of heads is.
    """

    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer
    reach: Reach
    store: AuditStore
    gaps: RowStore
    key: AuditKey
    home: Path


class Batch(NamedTuple):
    """What one transaction writes, and what becomes true with it."""

    rows: list[AuditRow]
    heads: list[AuditHead]
    letters: list[DeadLetter]
    fetched: Fetched
    offsets: dict[TopicPartition, OffsetAndMetadata]


class Forensics:
    """The audit trail of one run.

    Parameters
    ----------
    run
        Name of the run; empty for the live one.
    of
        Whose rows they are in SQL.
    parts
        What it works with.
    """

    def __init__(self, run: str, of: RunKey, parts: Parts) -> None:
        self._run = run
        self._of = of
        self._parts = parts
        self._chains: dict[TopicPartition, AuditChain] = {}
        self._writing: asyncio.Task[None] | None = None
        # Batches that are linked and not in SQL yet: a head must not vouch for them.
        self._n_ahead = 0
        # When a record of each chain was last linked.
        self._heard_s: dict[TopicPartition, float] = {}
        # Up to where each partition is in SQL.
        self._kept: dict[TopicPartition, int] = {}

    async def work(self) -> None:
        """Read, keep and commit until cancelled; then seal what is kept."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    await self._turn()
                except ChainMoved as error:
                    log.warning("%s; asking anew where the chain ends", error)
                    self._chains.clear()
                    self._n_ahead = 0
        finally:
            watching.cancel()
            await self._end()

    async def _watch(self) -> None:
        """Say how far SQL is behind, above all while it takes nothing."""
        consumer = self._parts.consumer
        while True:
            shelved_ns = last_done_ns(self._parts.home, SHELF) or 0
            metrics.AUDIT_SHELF_SECONDS.set(shelved_ns // 1_000_000_000)
            await asyncio.sleep(_WATCH_S)
            here = [place for place in self._kept if place in consumer.assignment()]
            try:
                ends = await consumer.end_offsets(here) if here else {}
            except (KafkaError, IllegalStateError, TimeoutError):
                continue  # the broker is away: nothing comes that could wait
            for place, end in ends.items():
                behind = max(end - self._kept.get(place, end), 0)
                metrics.AUDIT_LAG_RECORDS.labels(place.partition).set(behind)

    async def _turn(self) -> None:
        consumer = self._parts.consumer
        for place in consumer.assignment() - self._chains.keys():
            await self._open(place)
        fetched = await gathered(consumer, _POLL_MS, _BATCH_RECORDS)
        await self._tell(fetched)
        # What came or went meanwhile is read from where its chain ends, here or elsewhere.
        known = {place: found for place, found in fetched.items() if place in self._chains}
        quiet = self._quiet(known)
        if known or quiet:
            await self._hand_over(self._linked(known, quiet))

    def _quiet(self, known: Fetched) -> list[AuditHead]:
        """Seal the chains that fell silent, however busy the others are.

        Their rows are in batches before the one that these heads go with, so no head is in SQL
        before what it vouches for.
        """
        now_s = clock.monotonic_s()
        self._heard_s |= dict.fromkeys(known, now_s)
        silent = [p for p in self._chains if now_s - self._heard_s[p] >= _QUIET_S]
        heads = [self._chains[place].seal() for place in silent if place not in known]
        return [head for head in heads if head is not None]

    def forget(self, places: Sequence[TopicPartition]) -> None:
        """Let go of partitions: whoever has them next asks SQL where they end."""
        for place in places:
            self._chains.pop(place, None)
            self._kept.pop(place, None)
            self._heard_s.pop(place, None)

    async def _open(self, place: TopicPartition) -> None:
        """Find the end of a chain, and read on from there."""
        store, consumer = self._parts.store, self._parts.consumer
        file = HeadFile(self._parts.home, self._of.run, place.partition)
        on_disk = file.last()
        tip = await _patient(lambda: store.tip(place.partition, on_disk))
        end = (await consumer.end_offsets([place]))[place]
        if end < tip.next_offset:
            raise StoreConflict(
                f"{place.topic}, partition {place.partition} ends at {end}, and the audit trail "
                f"has it up to {tip.next_offset}: the topic was made anew. Give a stack with fresh "
                "topics another --name"
            )
        # A crash may have come between a transaction and what is said of it.
        number = -1 if on_disk is None else on_disk.number
        missed = await _patient(lambda: store.heads_after(place.partition, number))
        # The broker may not have had the last one; a head that comes again has the same bytes.
        await self._send([] if on_disk is None else [on_disk])
        await self._publish(missed)
        if place not in consumer.assignment():
            return
        self._kept[place] = tip.next_offset
        self._heard_s[place] = clock.monotonic_s()
        self._chains[place] = AuditChain(self._of, place.partition, tip, self._parts.key.sign)
        consumer.seek(place, tip.next_offset)

    def _linked(self, fetched: Fetched, quiet: list[AuditHead]) -> Batch:
        # Noted now: the next batch is fetched before this one is written.
        batch = Batch([], quiet, [], fetched, self._parts.reach.after(fetched))
        self._n_ahead += 1
        for place, records in fetched.items():
            chain = self._chains[place]
            for record in records:
                taken = chain.take(record)
                if taken is None:
                    continue
                if taken.row is not None:
                    batch.rows.append(taken.row)
                if taken.head is not None:
                    batch.heads.append(taken.head)
                if taken.error is not None:
                    batch.letters.append(_letter(record, taken.error))
        return batch

    async def _hand_over(self, batch: Batch) -> None:
        """Wait for the batch before, and let this one be written while the next is read."""
        await self._settled()
        self._writing = asyncio.create_task(self._write(batch))

    async def _settled(self) -> None:
        writing = self._writing
        if writing is not None:
            try:
                # Whoever ends this role ends the waiting, not the transaction.
                await asyncio.shield(writing)
            finally:
                if writing.done():
                    self._writing = None

    async def _write(self, batch: Batch) -> None:
        if batch.rows or batch.heads:
            await _patient(lambda: self._parts.store.put(batch.rows, batch.heads))
        self._n_ahead -= 1
        await self._publish(batch.heads)
        await self._bury(batch.letters)
        await commit(self._parts.consumer, batch.offsets)
        self._show(batch)

    async def _publish(self, heads: Sequence[AuditHead]) -> None:
        """Write heads where the owner of the database cannot."""
        for head in heads:
            HeadFile(self._parts.home, self._of.run, head.partition).append([head])
            await self._send([head])
        metrics.AUDIT_HEADS.inc(len(heads))

    async def _send(self, heads: Sequence[AuditHead]) -> None:
        for head in heads:
            await self._parts.producer.send_and_wait(
                prefix_of(self._run) + topics.AUDIT_HEADS.name,
                head.canonical(),
                key=str(head.partition).encode(),
            )

    async def _seal(self) -> None:
        """Seal all that is kept and has no head."""
        await self._settled()
        if self._n_ahead:
            return
        heads = [head for chain in self._chains.values() if (head := chain.seal()) is not None]
        if heads:
            await _patient(lambda: self._parts.store.put([], heads))
            await self._publish(heads)

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(_LAST_S):
                await self._seal()
        except (TimeoutError, ChainMoved):
            log.warning("the last rows get their head at the next start")
        finally:
            if self._writing is not None:
                self._writing.cancel()

    async def _tell(self, fetched: Fetched) -> None:
        gaps = await self._parts.reach.gaps(fetched)
        if gaps:
            tell(gaps)
            await _patient(lambda: self._parts.gaps.put([gap.row(self._of) for gap in gaps]))

    async def _bury(self, letters: Sequence[DeadLetter]) -> None:
        topic = prefix_of(self._run) + topics.DEAD_LETTERS.name
        for letter in letters:
            metrics.DEAD_LETTERS.labels(STAGE, letter.reason).inc()
            said = (letter.origin.id(), letter.reason, letter.detail)
            log.error("dead letter %s: %s %s", *said, extra=letter.origin.named())
            await self._parts.producer.send_and_wait(
                topic, letter.raw, key=letter.origin.id().encode(), headers=letter.headers()
            )

    def _show(self, batch: Batch) -> None:
        now_ms = clock.wall_ns() // 1_000_000
        metrics.AUDITED_RECORDS.inc(len(batch.rows))
        if batch.fetched:
            metrics.AUDIT_BATCH_RECORDS.observe(len(batch.rows))
        for place, records in batch.fetched.items():
            self._kept[place] = records[-1].offset + 1
            metrics.AUDIT_DELAY_SECONDS.observe(max(now_ms - records[0].timestamp, 0) * _MS)


async def _patient(do: Callable[[], Awaitable[Done]]) -> Done:
    """Do it, however long the database is away."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        wait=wait_random_exponential(multiplier=0.5, max=_WAIT_S_MAX),
        before_sleep=_say,
    ):
        with attempt:
            done = await do()
    return done


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    wait_s = state.next_action.sleep if state.next_action is not None else 0.0
    log.warning(
        "the database is away, decisions wait in Kafka; trying again in %.1f s: %s", wait_s, error
    )


def _letter(record: ConsumerRecord, error: RecordError) -> DeadLetter:
    if error.reason == "ROW_DIFFERS":
        metrics.AUDIT_CONFLICTS.inc()
    origin = Origin(record.topic, record.partition, record.offset, key=record.key)
    return DeadLetter.of(error, origin, STAGE, record.value or b"")
