"""Our Faust transport: batches instead of messages, and progress instead of acknowledgements.

Registered under the entry point group ``faust.transports`` as ``tradewind``, a subclass of Faust's
aiokafka driver. What differs, and why (numbers: "What the transport changes", architecture.md):

1. *Fetch wait 10 ms.* The driver hard-codes 1.5 s. aiokafka's next fetch leaves out partitions with
   unread records and long-polls on the idle ones, so their successors wait that long.
2. *One message per partition and fetch.* What waits in a partition reaches the agent as one event
   whose value is a :class:`Batch`; the fixed cost of an event (a pair of tasks, a loop turn, two
   queues) is paid once per batch. Changelog topics keep Faust's one message per record.
3. *Progress.* Stages say up to which offset their state is durable, and only that is committed.
   Faust's acknowledgement lists can commit past a message in flight and hold every open tick.
4. *Commit before revocation.* Faust forgets acknowledged offsets before it commits them, so a clean
   rebalance reads everything since the last commit again. Progress is forgotten after the commit.
5. *Idempotent producer, acks=all.* A retried batch is neither duplicated nor reordered.
6. *Outputs in built batches.* What a step sends to one partition is one hand-over to the sender.
7. *A broker that is away is waited for.* Batches never expire, and what cannot be handed over is
   offered again; a refused record is an error.
8. *A closed connection is a broker that is away*, also where uvloop says it its own way.
9. *A group that rebalances again* while it commits or seeks is not an error of the worker, and
   loses nothing that was fetched: where nothing was committed aiokafka's seek does nothing.
10. *A lost membership is a crash.* When aiokafka's group task or one of its helpers fails, or waits
    for somebody to take its error, Faust goes on without a word.
11. *A fetch that outlives its flow takes nothing away.* Faust lets it go on through a rebalance and
    drops what it brings, also behind a recovery's seek. It is undone; and where records do not go
    on at the offset where the last ones ended, they are read once more.
12. *A log that has lost its middle is a crash.* Where retention has deleted records that nobody
    read, aiokafka goes on at the oldest one with a line at INFO, and every fold would be wrong.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

import faust
import faust.transport.drivers.aiokafka as driver
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP, AppT
from faust.types.tuples import Message

from streams.away import noticed, until_back
from streams.closed_connections import ask_again_when_closed
from streams.consumer_thread import ConsumerThread, crash_without_metadata
from streams.dead_letters import Headers
from streams.partitions import partition_of
from streams.topic_metadata import gone, told_of

# The most that one group commit takes together; a batch larger than this is cut.
MAX_BATCH_RECORDS = 512

_NONE_ACTIVE_S = 0.02
log = logging.getLogger("tradewind.broker")

RevokeHook = Callable[[set[TP]], Awaitable[None]]


class Record(NamedTuple):
    """One Kafka record as a stage sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int = 0

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None


class Batch(tuple[Record, ...]):
    """What waited in one partition, in offset order."""

    __slots__ = ()


class BatchSchema(faust.Schema[bytes, Batch]):
    """Hands a batch to the agent as it is: stages decode bytes themselves and dead-letter them."""

    def compile(self, app: AppT, **_kwargs: Any) -> Any:  # noqa: ANN401  signature of the base
        """Return the decoder of this schema."""
        create_event = app.create_event

        async def decode(message: Message, *, propagate: bool = False) -> object:  # noqa: ARG001  as called
            return create_event(message.key, message.value, message.headers, message)

        return decode


class LogGap(Exception):  # noqa: N818  says what is the case
    """Records that were not read yet are no longer in their topic.

    Operator action: restore what is missing from the archive into a new run, or accept the loss by
    setting the group's offset to the beginning of the topic.
    """


class Consumer(driver.Consumer):
    """A consumer that delivers batches and commits progress."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  signature of the base
        super().__init__(*args, **kwargs)
        self._progress: dict[TP, int] = {}
        self._revoke_hooks: list[RevokeHook] = []
        # Where each partition goes on, as far as it was committed or handed on.
        self.goes_on: dict[TP, int] = {}
        # From where a partition is read again, because records did not go on there.
        self._read_again: dict[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the thread that talks to the broker."""
        loop: asyncio.AbstractEventLoop = self._thread.thread_loop
        return loop

    def member_at_s(self) -> float:
        """Return when the group was last asked and still knew this worker, monotonic seconds."""
        return float(cast(ConsumerThread, self._thread).member_at_s)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to where the group goes on, and expect the log to go on there."""
        sought: Mapping[TP, int] = await super().seek_to_committed()
        self.goes_on = dict(sought)
        self._read_again.clear()
        return sought

    async def _joins(self, tp: TP, offset: int) -> bool:
        """Tell whether records go on where the last ones ended; if not, ask for them once more.

        Markers of transactions and compaction leave holes in a log, which are there when it is
        read again. Behind what was deleted nothing goes on.
        """
        expected = self.goes_on.get(tp, offset)
        asked = self._read_again.pop(tp, None)
        if offset <= expected:
            if asked is not None:
                log.warning(
                    "%s:%d: records from offset %d on had been fetched and lost on their way; they "
                    "were read again",
                    *(*tp, expected),
                )
            return True
        if asked == expected:
            return True
        begins = (await self._thread.earliest_offsets(tp)).get(tp, 0)
        if begins > expected:
            raise LogGap(
                f"{tp.topic}:{tp.partition} was read up to offset {expected}, and begins at "
                f"{begins} by now: the {begins - expected} records between were deleted unread. "
                "Restore the run from its archive; or accept the loss by setting the offset of "
                f"group {self.app.conf.id} there to {begins}"
            )
        self._read_again[tp] = expected
        await self.seek_wait({tp: expected})
        return False

    def advance(self, tp: TP, next_offset: int) -> None:
        """Say that everything before ``next_offset`` is durable; it is committed by and by."""
        self._progress[tp] = next_offset

    def on_revoke(self, hook: RevokeHook) -> None:
        """Call ``hook`` with the partitions before they go, while their progress still counts."""
        self._revoke_hooks.append(hook)

    async def wait_empty(self) -> None:
        """Let the stages finish and commit what they reached; Faust calls this before it lets go.

        Called at every revocation and at shutdown, after the flow of new messages has stopped.
        """
        for hook in self._revoke_hooks:
            await hook(self.assignment())
        await super().wait_empty()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the progress of what goes, after it was committed."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._progress.pop(tp, None)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # noqa: ANN401  base
        return (tp for tp in self._progress if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._progress.get(tp)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109  base
        """Yield one message per partition and fetch, and one per record of a changelog."""
        records, active = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        for tp, fetched in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is None or tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp) or 0)
                if await self._goes_on(tp, fetched):
                    for message in self._messages(tp, fetched):
                        yield tp, message

    async def _wait_next_records(
        self,
        timeout: float,  # noqa: ASYNC109  base
    ) -> tuple[Any, Any]:
        # Where no partition is active Faust sleeps a second, which is in the midst of a recovery.
        if self.flow_active and not self.app.client_only and not self._active_partitions:
            await asyncio.sleep(_NONE_ACTIVE_S)
            return {}, set()
        found: tuple[Any, Any] = await super()._wait_next_records(timeout)
        return found

    async def _goes_on(self, tp: TP, fetched: list[Any]) -> bool:
        """Note where a partition goes on behind these records; say no if that is not known."""
        if self._is_changelog_tp(tp):
            return True
        if not await self._joins(tp, fetched[0].offset):
            return False
        self.goes_on[tp] = fetched[-1].offset + 1
        return True

    def _messages(self, tp: TP, fetched: list[Any]) -> Iterable[Message]:
        if self._is_changelog_tp(tp):
            return (self._to_message(tp, record) for record in fetched)
        cuts = range(0, len(fetched), MAX_BATCH_RECORDS)
        return (self._batch(tp, fetched[i : i + MAX_BATCH_RECORDS]) for i in cuts)

    def _batch(self, tp: TP, fetched: list[Any]) -> Message:
        message = self._to_message(tp, fetched[-1])
        batch = Batch(
            Record(r.topic, r.partition, r.offset, r.key, r.value, list(r.headers), r.timestamp)
            for r in fetched
        )
        message.value = cast(bytes, batch)  # Faust types bytes; our schema hands on what it finds
        return message


class Outgoing(NamedTuple):
    """One record to send; without a partition, murmur2 of the key places it."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers
    partition: int | None


def _built(producer: AIOKafkaProducer, records: Iterable[Outgoing]) -> Iterator[BatchBuilder]:
    """Build the batches of one partition."""
    builder = producer.create_batch()
    for _, key, value, headers, _ in records:
        if not builder.append(timestamp=None, key=key, value=value, headers=headers):
            yield builder
            builder = producer.create_batch()
            builder.append(timestamp=None, key=key, value=value, headers=headers)
    yield builder


class Producer(driver.Producer):
    """A producer that neither duplicates nor reorders when it retries, and sends in batches."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        # A batch that expires leaves a hole in its partition's sequence, and none behind it is
        # taken any more; while the broker is away it has to wait.
        producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001  no public name
        ask_again_when_closed()
        return producer

    async def on_start(self) -> None:
        """Start, and end the worker should its round of metadata fail."""
        await super().on_start()
        crash_without_metadata(self.app, self._ensure_producer().client)

    async def answers(self) -> bool:
        """Ask a broker something, and say whether one has answered."""
        return bool(await self._ensure_producer().client.force_metadata_update())

    async def gone(self) -> set[str]:
        """Return the topics of what waits to be sent that the broker does not have."""
        return await gone(self._ensure_producer())

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  base
        """Send one record, to a topic that the broker has told of."""
        await told_of(self._ensure_producer().client, topic)
        return await super().send(topic, *args, **kwargs)

    async def send_all(
        self, records: Iterable[Outgoing], handed_over: Callable[[], None] | None = None
    ) -> None:
        """Send records and return when the broker has acknowledged all of them.

        Records of one partition keep their order and travel in batches built here: 200 decisions
        cost one hand-over to the sender instead of 200. ``handed_over`` is called when all are on
        their way and none is acknowledged for certain.
        """
        producer = self._ensure_producer()
        pending = []

        async def hand_over(batch: BatchBuilder, topic: str, partition: int) -> None:
            pending.append(await producer.send_batch(batch, topic, partition=partition))

        batches: dict[tuple[str, int], list[Outgoing]] = {}
        for record in records:
            batches.setdefault((record.topic, self._place(record)), []).append(record)
        for (topic, partition), batch in batches.items():
            await told_of(self._ensure_producer().client, topic)
            for builder in _built(producer, batch):
                await until_back(partial(hand_over, builder, topic, partition))
        if handed_over is not None:
            handed_over()
        if pending:
            with noticed():
                await asyncio.gather(*pending)

    async def append(self, record: Outgoing) -> None:
        """Send one record and return when the broker has acknowledged it.

        Those that are appended at the same time travel together: one step's outputs do not wait
        for one another, and neither do the requests of several callers.
        """
        producer = self._ensure_producer()
        await told_of(producer.client, record.topic)

        async def hand_over() -> asyncio.Future[Any]:
            sent: asyncio.Future[Any] = await producer.send(
                record.topic,
                record.value,
                record.key,
                partition=self._place(record),
                headers=record.headers,
            )
            return sent

        acknowledged = await until_back(hand_over)
        with noticed():
            await acknowledged

    def _place(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        # Every topic of a run has the same number of partitions; asking the producer would need
        # metadata that it may not have yet.
        return partition_of((record.key or b"").decode(), self.app.conf.topic_partitions)


class Transport(driver.Transport):
    """``tradewind://`` brokers."""

    Consumer = Consumer
    Producer = Producer


def consumer_of(app: AppT) -> Consumer:
    """Return the app's consumer as ours.

    Raises
    ------
    TypeError
        If the app was built with another transport than ``tradewind://``.
    """
    consumer: FaustConsumer = cast(FaustConsumer, app.consumer)
    if not isinstance(consumer, Consumer):
        raise TypeError(
            f"the app's transport is {type(consumer).__module__}; expected tradewind://"
        )
    return consumer


def producer_of(app: AppT) -> Producer:
    """Return the app's producer as ours.

    Raises
    ------
    TypeError
        If the app was built with another transport than ``tradewind://``.
    """
    producer = app.producer
    if not isinstance(producer, Producer):
        raise TypeError(
            f"the app's transport is {type(producer).__module__}; expected tradewind://"
        )
    return producer
