"""Read decisions: each once, from a place that the caller keeps.

A worker that crashed sends again what lies behind its last snapshot. A repeat has the same id and
the same bytes, so the reader remembers what it gave out and leaves repeats out.
"""

import hashlib
import ssl
from collections import OrderedDict, deque
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from streams.access import PLAIN, Access
from streams.client.errors import ClientError, ConflictingDecisionError, DecisionsLostError
from streams.errors import RecordError
from streams.records import Decision, read_json
from streams.topics import TRADING_DECISIONS

_POLL_MS = 1_000
_MOST_AT_ONCE = 500

_DECODER = msgspec.json.Decoder(Decision)

Start = Mapping[int, int] | Literal["earliest", "latest"]


class Received(NamedTuple):
    """A decision, its bytes, and where it stands.

    Keep ``next_offset`` by partition, in one transaction with what follows from the decision:
    reading goes on there.
    """

    decision: Decision
    value: bytes
    partition: int
    offset: int

    @property
    def next_offset(self) -> int:
        """Where reading goes on after this decision."""
        return self.offset + 1


class Memory:
    """The newest decisions of a partition by id, so that a repeat is known.

    Parameters
    ----------
    most
        How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[str, bytes] = OrderedDict()

    def is_repeat(self, decision_id: str, value: bytes) -> bool:
        """Tell whether a decision was seen; from now on it was.

        Raises
        ------
        ConflictingDecisionError
            If it was seen with other bytes.
        """
        digest = hashlib.sha256(value).digest()
        before = self._known.setdefault(decision_id, digest)
        self._known.move_to_end(decision_id)
        if before is not digest:
            if before != digest:
                raise ConflictingDecisionError(
                    f"decision {decision_id} came again with other bytes: two writers are at work"
                )
            return True
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return False


class DecisionReader:
    """Reads the decisions of all portfolios; an asynchronous context manager and iterator.

    Promised: decisions of a portfolio come in order, none is left out, and each comes once, as long
    as its repeat is among the ``memory`` records of its partition that follow it. That holds across
    restarts too: before the place where reading goes on, as many records are read again to know
    their ids. Not promised: that you act on each once. For that keep ``next_offset`` in the
    transaction of the act, and start there.

    An error of one record is raised for that record; iterating again goes on behind it.

    Parameters
    ----------
    servers
        Kafka's address, ``host:port``.
    start
        The next offset by partition, as kept from :class:`Received` (partitions that are not named
        start at their beginning), or ``earliest``, or ``latest`` for what comes from now on.
    topic
        Where decisions are; that of the live run.
    memory
        How many decisions are remembered, by partition.
    tls
        How to encrypt; None for plain text.
    access
        How to log in, in place of ``tls``.
    """

    def __init__(
        self,
        servers: str,
        start: Start = "earliest",
        topic: str = TRADING_DECISIONS.name,
        *,
        memory: int = 10_000,
        tls: ssl.SSLContext | None = None,
        access: Access = PLAIN,
    ) -> None:
        self._start = start
        self._topic = topic
        self._most = memory
        self._options = {
            "bootstrap_servers": servers,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            **(Access("SSL", tls) if tls else access).options(),
        }
        self._consumer: AIOKafkaConsumer | None = None
        self._from: dict[int, int] = {}
        self._memories: dict[int, Memory] = {}
        self._waiting: deque[ConsumerRecord] = deque()

    async def __aenter__(self) -> Self:
        """Connect, and go to where reading starts.

        Raises
        ------
        DecisionsLostError
            If the topic does not have that place.
        ClientError
            If there is no such topic.
        """
        self._consumer = AIOKafkaConsumer(self._topic, **self._options)
        try:
            await self._consumer.start()
            await self._seek(self._consumer)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self._open().stop()

    def __aiter__(self) -> Self:
        """Iterate over decisions as they come; without an end."""
        return self

    async def __anext__(self) -> Received:
        """Return the next decision that is no repeat.

        Raises
        ------
        RecordError
            If a record is none; its place is in the message.
        ConflictingDecisionError
            If a decision came again with other bytes.
        DecisionsLostError
            If the broker deleted records before they were read.
        """
        while True:
            if not self._waiting:
                await self._fetch()
            while self._waiting:
                found = self._read(self._waiting.popleft())
                if found is not None:
                    return found

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        partitions = sorted(consumer.assignment())
        if not partitions:
            raise ClientError(f"there is no topic {self._topic}; is it the right broker and run?")
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for place in partitions:
            begin, end = begins[place], ends[place]
            wanted = self._wanted(place, begin, end)
            self._from[place.partition] = wanted
            self._memories[place.partition] = Memory(self._most)
            consumer.seek(place, max(begin, wanted - self._most))

    def _wanted(self, place: TopicPartition, begin: int, end: int) -> int:
        if self._start == "earliest":
            return begin
        if self._start == "latest":
            return end
        wanted = self._start.get(place.partition, begin)
        if not begin <= wanted <= end:
            raise DecisionsLostError(
                f"offset {wanted} of partition {place.partition} is not in {self._topic}, which "
                f"has {begin} to {end}: it was deleted by age, or the topic was made anew"
            )
        return wanted

    async def _fetch(self) -> None:
        try:
            fetched = await self._open().getmany(timeout_ms=_POLL_MS, max_records=_MOST_AT_ONCE)
        except OffsetOutOfRangeError as error:
            raise DecisionsLostError(
                f"the broker deleted records of {self._topic} before they were read: {error}"
            ) from error
        for records in fetched.values():
            self._waiting.extend(records)

    def _read(self, record: ConsumerRecord) -> Received | None:
        """Return what a record decides; None if that is known."""
        is_old = record.offset < self._from[record.partition]
        value = record.value or b""
        try:
            decision = read_json(_DECODER, value)
        except RecordError as error:
            if is_old:
                return None
            where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            raise RecordError(error.reason, f"{where}: {error.detail}") from error
        is_repeat = self._memories[record.partition].is_repeat(decision.decision_id, value)
        if is_repeat or is_old:
            return None
        return Received(decision, value, record.partition, record.offset)

    def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("use it as: async with DecisionReader(...) as decisions")
        return self._consumer
