"""Dead letters on a real broker: read, and sent again under their own keys."""

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.cli.letter_log import LetterLog
from agents.run.topic_log import reading, records
from agents.topology import prefix_of
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError
from streams.partitions import partition_of
from streams.topics import DEAD_LETTERS, MARKET_TICKS
from tests.integration.test_book_log import declare

pytestmark = pytest.mark.broker

RUN = "letter-log"
TICK = b'{"symbol": "AAA", "ts_event": "2026-01-05T14:30:00Z", "price": 1.5}'


async def bury(broker: str, *letters: DeadLetter) -> None:
    """Write letters as a stage does."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for one in letters:
            await producer.send_and_wait(
                prefix_of(RUN) + DEAD_LETTERS.name,
                one.raw,
                key=one.origin.id().encode(),
                headers=one.headers(),
            )
    finally:
        await producer.stop()


async def test_letters_when_read_and_sent_again_then_stand_where_they_belong(broker: str) -> None:
    """A repeated letter is one letter; its bytes come back under their key, with its id."""
    await declare(broker, RUN)
    ticks = prefix_of(RUN) + MARKET_TICKS.name
    late = DeadLetter.of(RecordError("LATE", "2 s"), Origin(ticks, 0, 7, 0, b"AAA"), "bars", TICK)
    made = DeadLetter.of(
        RecordError("BAD_COLUMN", "x"), Origin(prefix_of(RUN) + "market-bars", 0, 1, 0, b"0"),
        "features", b"\xff\xff\xff\xff",
    )  # fmt: skip
    await bury(broker, late, made, late)
    log = LetterLog(broker, RUN)
    found = await log.read()
    assert [letter.reason for letter in found] == ["LATE", "BAD_COLUMN"]
    assert (found[0].raw, found[0].key, found[0].topic) == (TICK, b"AAA", ticks)
    with pytest.raises(RecordError, match="NOT_SENDABLE"):
        await log.replay(found)
    (sent,) = await log.replay(found[:1])
    assert (sent.topic, sent.partition) == (ticks, partition_of("AAA", 1))
    async with reading(broker) as consumer:
        place = TopicPartition(ticks, sent.partition)
        (record,) = [said async for said in records(consumer, place)]
    assert (record.key, record.value) == (b"AAA", TICK)
    assert dict(record.headers) == {"replayed": late.origin.id().encode()}


async def test_letters_when_a_run_has_none_then_says_so(broker: str) -> None:
    """An empty topic, and a run that is not there: nothing waits."""
    await declare(broker, "no-letters")
    for run in ("no-letters", "no-such-run"):
        assert await LetterLog(broker, run).read() == []
