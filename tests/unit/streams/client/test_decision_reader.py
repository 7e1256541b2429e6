"""Decisions come once each, from the place that was kept, and losses are loud."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from streams.client import (
    ClientError,
    ConflictingDecisionError,
    DecisionReader,
    DecisionsLostError,
)
from streams.client.decision_reader import Memory, Start
from streams.errors import RecordError
from streams.records import Decision
from tests.unit.tables.views.played import decision

TOPIC = "trading-decisions"


@dataclass
class Record:
    """One record of the log."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


class Log:
    """A topic with its first offsets and its records, read as aiokafka reads it."""

    def __init__(self, *partitions: list[bytes | None], begin: int = 0) -> None:
        self.partitions = partitions
        self.begin = begin
        self.at: dict[int, int] = {}
        self.is_stopped = False
        self.trouble: Exception | None = None

    async def start(self) -> None:
        """Connect to nothing."""

    async def stop(self) -> None:
        """Disconnect."""
        self.is_stopped = True

    def assignment(self) -> set[TopicPartition]:
        """Give all partitions."""
        return {TopicPartition(TOPIC, number) for number in range(len(self.partitions))}

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offsets."""
        return dict.fromkeys(places, self.begin)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the next offsets."""
        return {place: self.begin + len(self.partitions[place.partition]) for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read on from there."""
        self.at[place.partition] = offset

    async def getmany(self, **_options: int) -> dict[TopicPartition, list[Record]]:
        """Give everything that was not given; nobody waits for more in a test."""
        if self.trouble is not None:
            raise self.trouble
        found = {}
        for number, offset in self.at.items():
            values = self.partitions[number][offset - self.begin :]
            records = [Record(TOPIC, number, offset + n, value) for n, value in enumerate(values)]
            self.at[number] = offset + len(records)
            if records:
                found[TopicPartition(TOPIC, number)] = records
        if not found:
            raise EOFError
        return found


def value_of(event: Decision) -> bytes:
    """Give an event's bytes."""
    return msgspec.json.encode(event)


A, B, C = (value_of(decision(minute, symbol="AAPL")) for minute in (1, 2, 3))


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  a function
    """Give a way to read a log."""

    def made(log: Log, start: Start = "earliest", memory: int = 100) -> DecisionReader:
        monkeypatch.setattr("streams.client.decision_reader.AIOKafkaConsumer", lambda *_, **__: log)
        return DecisionReader("nowhere", start, memory=memory)

    return made


async def read_all(reader: DecisionReader) -> list[tuple[int, int, bytes]]:
    """Read to the end."""
    found = []
    async with reader as decisions:
        try:
            async for each in decisions:
                assert msgspec.json.decode(each.value, type=Decision) == each.decision
                assert each.next_offset == each.offset + 1
                found.append((each.partition, each.offset, each.value))
        except EOFError:
            pass
    return found


async def test_reader_when_decisions_repeat_then_gives_each_once(reading: Any) -> None:  # noqa: ANN401  the fixture
    """After a crash a worker says again what it had said; the others keep their order."""
    log = Log([A, B, A, B, C])
    assert await read_all(reading(log)) == [(0, 0, A), (0, 1, B), (0, 4, C)]
    assert log.is_stopped


async def test_reader_when_it_goes_on_then_knows_what_was_before(reading: Any) -> None:  # noqa: ANN401  the fixture
    """A repeat behind the kept place is known although this process never gave it out."""
    assert await read_all(reading(Log([A, B, A, C], begin=7), {0: 9})) == [(0, 10, C)]


async def test_reader_when_the_repeat_is_older_than_its_memory_then_gives_it_again(
    reading: Any,  # noqa: ANN401  the fixture
) -> None:
    """The bound is part of the promise: one remembered decision does not reach two back."""
    found = await read_all(reading(Log([A, B, A]), memory=1))
    assert [offset for _, offset, _ in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", [(0, 5, A), (0, 6, B), (1, 5, C)]),
        ("latest", []),
        ({0: 6}, [(0, 6, B), (1, 5, C)]),
        ({0: 7, 1: 6}, []),
    ],
)
async def test_reader_when_told_where_to_start_then_does(
    reading: Any,  # noqa: ANN401  the fixture
    start: Start,
    expected: list[tuple[int, int, bytes]],
) -> None:
    """By partition; one that is not named begins at its beginning."""
    assert await read_all(reading(Log([A, B], [C], begin=5), start)) == expected


@pytest.mark.parametrize("start", [{0: 4}, {0: 8}])
async def test_reader_when_the_log_does_not_have_the_place_then_says_what_it_has(
    reading: Any,  # noqa: ANN401  the fixture
    start: Mapping[int, int],
) -> None:
    """Deleted by age or made anew: going on quietly would leave decisions out."""
    log = Log([A, B], begin=5)
    with pytest.raises(DecisionsLostError, match=f"offset {start[0]} .* 5 to 7"):
        await read_all(reading(log, start))
    assert log.is_stopped


async def test_reader_when_records_went_while_it_read_then_is_an_error(reading: Any) -> None:  # noqa: ANN401  the fixture
    """Retention was faster than the reader."""
    log = Log([A])
    log.trouble = OffsetOutOfRangeError({})
    with pytest.raises(DecisionsLostError, match="before they were read"):
        await read_all(reading(log))


async def test_reader_when_a_record_is_broken_then_says_where_and_goes_on(reading: Any) -> None:  # noqa: ANN401  the fixture
    """One record's error is not the end of the log."""
    log = Log([A, b"{", None, B])
    async with reading(log) as decisions:
        assert (await anext(decisions)).offset == 0
        with pytest.raises(RecordError, match="partition 0, offset 1"):
            await anext(decisions)
        with pytest.raises(RecordError, match="offset 2"):
            await anext(decisions)
        assert (await anext(decisions)).offset == 3


async def test_reader_when_what_was_before_is_broken_then_is_not_told_again(reading: Any) -> None:  # noqa: ANN401  the fixture
    """It was an error when it was new; reading it for its id makes it none again."""
    assert await read_all(reading(Log([b"{", A]), {0: 1})) == [(0, 1, A)]


async def test_reader_when_an_id_has_other_bytes_then_two_writers_are_at_work(reading: Any) -> None:  # noqa: ANN401  the fixture
    """Neither can be trusted, so neither repeat nor news."""
    event = decision(1, symbol="AAPL")
    other = value_of(msgspec.structs.replace(event, quantity=event.quantity + 1))
    with pytest.raises(ConflictingDecisionError, match=event.decision_id):
        await read_all(reading(Log([A, other])))


async def test_reader_when_there_is_no_topic_then_says_so(reading: Any) -> None:  # noqa: ANN401  the fixture
    """It would wait for ever; and one that was never opened says how to."""
    with pytest.raises(ClientError, match=f"no topic {TOPIC}"):
        await read_all(reading(Log()))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(DecisionReader("nowhere"))


def test_memory_when_a_decision_repeats_then_is_kept_as_the_newest() -> None:
    """What repeats once may repeat again."""
    memory = Memory(2)
    assert [memory.is_repeat(each, b"") for each in ("a", "b", "a", "c", "a", "b")] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]
