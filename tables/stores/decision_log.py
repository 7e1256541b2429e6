"""The reader of a run's topics: follows them without a group, and fetches one record by its place.

The topics are the store and this reader keeps nothing but its positions. It commits nothing and
joins no group, so that the broker and the trading workers never wait for it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, UnknownTopicOrPartitionError

from streams import clock
from streams.dead_letters import Headers
from streams.kafka_access import kafka

log = logging.getLogger("tradewind.decision_log")

# A person waits this long for one record at most; a healthy broker answers in a tenth of it.
FETCH_S_MAX = 3.0
# Pages go on being served while this many records are still to read; more means "starting".
CAUGHT_UP_LAG_RECORDS = 1_000

# Between two batches the pages get the loop: 500 records take about 10 ms to take in.
_BATCH_RECORDS = 500
_POLL_MS = 200
# How often the broker is asked for the ends of the topics; the answer is also its sign of life.
_ASK_S = 2.0
_REQUEST_MS = 5_000
# Waits between attempts to connect double from the first to the second.
_BACKOFF_S = 0.5
_BACKOFF_S_MAX = 10.0
# One record is wanted: Kafka sends its whole batch at least, and no more than this besides.
_FETCH_BYTES = 1 << 16


class LogError(Exception):
    """Base of this store's errors."""


class LogAway(LogError):  # noqa: N818  says what is the case
    """The broker did not give the record in time.

    Operator action: start the broker, or wait until it answers, and ask again.
    """


class RecordGone(LogError):  # noqa: N818  says what is the case
    """The topic no longer holds the record: its retention is over, or the topic was made anew.

    Operator action: read it from the archive.
    """


class LogRecord(NamedTuple):
    """One Kafka record as a reader sees it; ``timestamp_ms`` is Kafka's own."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How far the reader is.

    Parameters
    ----------
    state
        ``starting`` until most was read once, ``broker away`` while the broker does not answer.
    lag_records
        Records still to read when the broker was asked last; None before its first answer.
    detail
        What is awaited, for people; empty if nothing is.
    """

    state: Literal["starting", "ok", "broker away"]
    lag_records: int | None = None
    detail: str = ""


class DecisionLog:
    """Reader of some topics of one cluster.

    Parameters
    ----------
    bootstrap_servers
        Kafka's address.
    topics
        Full names of the topics to follow, each from its beginning.
    take
        Called with every record, in the order of each partition.
    """

    def __init__(
        self, bootstrap_servers: str, topics: Sequence[str], take: Callable[[LogRecord], None]
    ) -> None:
        self.status = LogStatus("starting", detail="no answer from the broker yet")
        self._servers = bootstrap_servers
        self._topics = tuple(topics)
        self._take = take
        self._next: dict[TopicPartition, int] = {}
        self._backoff_s = _BACKOFF_S
        self._fetching = asyncio.Lock()
        # What is read now, once its partitions are known; whoever waits is woken by all that comes.
        self._following: AIOKafkaConsumer | None = None
        self._news = asyncio.Condition()

    async def follow(self) -> None:
        """Read until cancelled; an absent broker is a state, after which reading goes on."""
        while True:
            try:
                async with self._consumer(*self._topics, auto_offset_reset="earliest") as consumer:
                    await self._read(consumer)
            except UnknownTopicOrPartitionError:
                names = ", ".join(self._topics)
                self._set_status("starting", f"the broker does not have all of {names} yet")
            except (KafkaError, TimeoutError, OSError) as error:
                self._set_status("broker away", f"{type(error).__name__}: {error}")
            finally:
                self._following = None
            await asyncio.sleep(self._backoff_s)
            self._backoff_s = min(2 * self._backoff_s, _BACKOFF_S_MAX)

    async def catch_up(self) -> None:
        """Return when all has been taken that stands in the topics now.

        Raises
        ------
        LogAway
            If the broker does not say where they end, or reading takes longer than a person waits.
        """
        try:
            async with asyncio.timeout(FETCH_S_MAX):
                ends = await self._ends()
                async with self._news:
                    await self._news.wait_for(lambda: self._has_taken(ends))
        except (KafkaError, TimeoutError, OSError) as error:
            why = self.status.detail or repr(error)
            raise LogAway(f"the log is not read to its end yet: {why}") from error

    async def _ends(self) -> dict[TopicPartition, int]:
        """Ask where the topics end, as soon as they are followed."""
        async with self._news:
            consumer: Any = await self._news.wait_for(lambda: self._following)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        return ends

    def _has_taken(self, ends: dict[TopicPartition, int]) -> bool:
        return all(self._next.get(where, 0) >= end for where, end in ends.items())

    async def fetch(self, topic: str, partition: int, offset: int) -> LogRecord:
        """Read one record again; those who ask at the same time wait for each other.

        Raises
        ------
        LogAway, RecordGone
        """
        where = TopicPartition(topic, partition)
        limits = {"auto_offset_reset": "none", "max_partition_fetch_bytes": _FETCH_BYTES}
        try:
            async with (
                asyncio.timeout(FETCH_S_MAX),
                self._fetching,
                self._consumer(**limits) as consumer,
            ):
                consumer.assign([where])
                consumer.seek(where, offset)
                record = _log_record(await consumer.getone(where))
        except OffsetOutOfRangeError as error:
            raise RecordGone(f"{topic}:{partition} does not reach offset {offset}") from error
        except (KafkaError, TimeoutError, OSError) as error:
            raise LogAway(f"{topic}:{partition}:{offset} did not arrive: {error!r}") from error
        if record.offset != offset:
            raise RecordGone(f"{topic}:{partition} no longer holds offset {offset}")
        return record

    @asynccontextmanager
    async def _consumer(self, *topics: str, **settings: Any) -> AsyncIterator[AIOKafkaConsumer]:  # noqa: ANN401  settings of the driver
        consumer = AIOKafkaConsumer(
            *topics,
            **kafka(self._servers),
            group_id=None,
            enable_auto_commit=False,
            request_timeout_ms=_REQUEST_MS,
            **settings,
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await _stop(consumer)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        first = await consumer.beginning_offsets(consumer.assignment())
        for where, offset in first.items():
            self._next[where] = max(offset, self._next.get(where, 0))
            consumer.seek(where, self._next[where])
        self._following = consumer
        asked_s = clock.monotonic_s() - _ASK_S
        while True:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
            for where, records in fetched.items():
                self._hand_on(where, records)
            async with self._news:
                self._news.notify_all()
            # A full buffer is handed out without waiting; the pages need their turn.
            await asyncio.sleep(0)
            if clock.monotonic_s() - asked_s >= _ASK_S:
                self._judge(await consumer.end_offsets(consumer.assignment()))
                asked_s = clock.monotonic_s()

    def _hand_on(self, where: TopicPartition, records: Sequence[Any]) -> None:
        for record in records:
            # New partitions make aiokafka assign all anew, from their beginnings.
            if record.offset >= self._next.get(where, 0):
                self._take(_log_record(record))
                self._next[where] = record.offset + 1

    def _judge(self, ends: dict[TopicPartition, int]) -> None:
        for where, end in ends.items():
            if end < self._next.get(where, 0):
                log.warning("%s:%d was made anew; reading it again", where.topic, where.partition)
                self._next[where] = 0
        self._backoff_s = _BACKOFF_S
        lag = sum(end - self._next.get(where, 0) for where, end in ends.items())
        caught_up = self.status.state == "ok" or lag <= CAUGHT_UP_LAG_RECORDS
        self._set_status("ok" if caught_up else "starting", "" if caught_up else "reading the log")
        self.status = replace(self.status, lag_records=lag)

    def _set_status(self, state: Literal["starting", "ok", "broker away"], detail: str) -> None:
        if state != self.status.state:
            log.log(
                logging.WARNING if state == "broker away" else logging.INFO,
                "%s %s",
                state,
                detail,
            )
        self.status = LogStatus(state, self.status.lag_records, detail)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # With a node away, aiokafka 0.14 cancels a fetch of its own in its retry pause, lets that
        # cancellation out as if it were ours, and leaves the connections open.
        await consumer._client.close()  # noqa: SLF001  nothing public closes it any more
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


def _log_record(record: Any) -> LogRecord:  # noqa: ANN401  the driver is not annotated
    return LogRecord(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        list(record.headers),
    )
