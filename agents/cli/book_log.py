"""A book's log as a person at the terminal uses it: read to its end, or appended to.

Reading folds as the risk stage does, from the stage's last snapshot on, and changes nothing; what
is appended is acknowledged by all replicas before it is reported.
"""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents.risk import KeptBook, RiskFold
from agents.run.kept_states import progress_of, states_of
from agents.run.topic_log import reading, records
from agents.topology import prefix_of
from streams.errors import RecordError
from streams.instructions import Instruction
from streams.kafka_access import kafka
from streams.partitions import partition_of
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import Record
from tables.epochs import Epochs
from tables.stamped import Stamped

_JSON = msgspec.json.Encoder()


class Place(NamedTuple):
    """Where a record stands in the log."""

    topic: str
    partition: int
    offset: int


class ReadBook(NamedTuple):
    """A book at the end of its log."""

    book: KeptBook
    partition: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class BookLog:
    """The log of a run's books.

    Parameters
    ----------
    servers, run
        Where the run's topics are.
    epochs
        The documents that decide.
    """

    servers: str
    run: str
    epochs: Epochs

    @property
    def _topic(self) -> str:
        return prefix_of(self.run) + PORTFOLIO_EVENTS.name

    async def read(self, portfolio: str) -> ReadBook:
        """Fold a portfolio's log to its end, from the last snapshot on.

        Raises
        ------
        RecordError
            ``NO_BOOK`` if no bar has reached the portfolio yet.
        """
        # Progress first: the snapshots read after it are of then or later.
        place, begin = await self._begin(portfolio)
        async with reading(self.servers) as consumer:
            states = await self.states(consumer, place.partition)
            fold = RiskFold(self.epochs, states.get)
            end = 0
            async for said in records(consumer, place, begin):
                end = said.offset + 1
                headers = list(said.headers)
                for _ in fold.apply(
                    Record(said.topic, said.partition, said.offset, said.key, said.value, headers)
                ):
                    pass
        book = fold.look(portfolio)
        if book is None:
            raise RecordError(
                "NO_BOOK", f"no bar has reached portfolio {portfolio!r} of run {self.run or 'live'}"
            )
        return ReadBook(book, place.partition, max(end, book.stamp))

    async def portfolios(self, known: str) -> list[str]:
        """Return all portfolios of the epoch by which a known one goes on, in order."""
        found = await self.read(known)
        epoch = self.epochs.load(found.book.epoch_digest).epoch
        return sorted(portfolio.id for portfolio in epoch.portfolios)

    async def append(self, said: Instruction) -> Place:
        """Append a record under its portfolio's key and say where it stands."""
        producer = AIOKafkaProducer(**kafka(self.servers), enable_idempotence=True, acks="all")
        await producer.start()
        try:
            sent = await producer.send_and_wait(
                self._topic, _JSON.encode(said), key=said.portfolio.encode()
            )
        finally:
            await producer.stop()
        return Place(sent.topic, sent.partition, sent.offset)

    async def _begin(self, portfolio: str) -> tuple[TopicPartition, int]:
        """Return where a portfolio's log is, and up to where the stage has made it durable."""
        admin = AIOKafkaAdminClient(**kafka(self.servers))
        await admin.start()
        try:
            (topic,) = await admin.describe_topics([self._topic])
            if not topic["partitions"]:
                raise RecordError("NO_BOOK", f"there is no topic {self._topic} at {self.servers}")
            place = TopicPartition(self._topic, partition_of(portfolio, len(topic["partitions"])))
            return place, await progress_of(admin, self.run, place)
        finally:
            await admin.close()

    async def states(self, consumer: AIOKafkaConsumer, partition: int) -> dict[bytes, Stamped]:
        """Return the stage's last snapshots of a partition's books."""
        return await states_of(consumer, self.run, "risk", partition)
