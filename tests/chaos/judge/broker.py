"""A run on a broker, read by librdkafka up to the ends that were there at the start."""

from collections.abc import Iterable, Iterator

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tests.chaos.judge.record import Record, Unjudgeable

_ANSWER_S = 10.0
_BATCH = 1_000
# A call waits for a whole batch so long; at the end of a partition there is none.
_POLL_S = 0.1
_PATIENCE_POLLS = 300


class BrokerSource:
    """The topics of one run.

    Parameters
    ----------
    servers
        Address of the broker.
    prefix
        What the topics' names of the run begin with; empty for the live one.
    names
        The topics, without the prefix, in the order in which their ends are looked up: what follows
        from a record comes before it, so that no effect is read without its cause.

    Raises
    ------
    Unjudgeable
        If the broker does not answer, or has begun to delete a topic by its age.
    """

    def __init__(self, servers: str, prefix: str, names: Iterable[str]) -> None:
        self._servers, self._prefix = servers, prefix
        self._ends: dict[tuple[str, int], int] = {}
        self._topics: dict[str, int] = {}
        consumer = self._consumer()
        try:
            there = consumer.list_topics(timeout=_ANSWER_S).topics
            for name in names:
                if prefix + name in there:
                    self._topics[name] = len(there[prefix + name].partitions)
                    self._look_up(consumer, name)
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "tradewind-judge",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 16_384,
                "error_cb": _ignore_what_polls_tell,
            }
        )

    def _look_up(self, consumer: Consumer, name: str) -> None:
        for number in range(self._topics[name]):
            where = TopicPartition(self._prefix + name, number)
            low, high = consumer.get_watermark_offsets(where, timeout=_ANSWER_S)
            if low > 0:
                raise Unjudgeable(
                    f"{where.topic}[{number}] begins at offset {low}; expected 0: its oldest "
                    "records are deleted by age. Judge a run while all of it is kept"
                )
            self._ends[name, number] = high

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of each topic there is."""
        return self._topics

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a partition's records in the order of the log."""
        end = self._ends[topic, partition]
        if end == 0:
            return
        consumer = self._consumer()
        consumer.assign([TopicPartition(self._prefix + topic, partition, 0)])
        idle = 0
        try:
            while True:
                messages = consumer.consume(_BATCH, timeout=_POLL_S)
                idle = 0 if messages else idle + 1
                if idle > _PATIENCE_POLLS:
                    raise Unjudgeable(
                        f"{topic}[{partition}] gave nothing for {idle * _POLL_S:g} s; "
                        f"expected records up to offset {end}: is the broker up?"
                    )
                for message in messages:
                    if message.error():
                        raise Unjudgeable(f"{topic}[{partition}]: {message.error()}")
                    if message.offset() >= end:
                        return
                    yield _record(topic, message)
                    if message.offset() == end - 1:
                        return
        finally:
            consumer.close()


def _ignore_what_polls_tell(error: KafkaError) -> None:
    """Leave errors to the call that waits: it gives up by itself and says where."""


def _record(topic: str, message: Message) -> Record:
    return Record(
        topic,
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple((name, value or b"") for name, value in message.headers() or ()),
    )
