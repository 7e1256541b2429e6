"""Dead letters on a real broker: read, and sent again under their own keys."""

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.cli.letter_log import Letter, LetterLog, Sent, find
from agents.run.topic_log import reading, records
from agents.topology import prefix_of
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError, SettingsError
from streams.partitions import partition_of
from streams.topics import DEAD_LETTERS, MARKET_TICKS, PORTFOLIO_EVENTS
from tests.integration.test_book_log import declare

pytestmark = pytest.mark.broker

RUN = "letter-log"
TICK = b'{"symbol": "AAA", "ts_event": "2026-01-05T14:30:00Z", "price": 1.5}'


async def bury(broker: str, *letters: DeadLetter, run: str = RUN) -> None:
    """Write letters as a stage does."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for one in letters:
            await producer.send_and_wait(
                prefix_of(run) + DEAD_LETTERS.name,
                one.raw,
                key=one.origin.id().encode(),
                headers=one.headers(),
            )
    finally:
        await producer.stop()


async def read(log: LetterLog) -> list[Letter]:
    """Read all letters of a run."""
    return (await find(log.letters(), lambda _: True)).letters


def never(_sent: Sent) -> None:
    """Expect that nothing is sent."""
    raise AssertionError("a letter was sent beside one that cannot be")


async def test_letters_when_a_role_beside_the_book_refused_it_too_then_that_one_is_not_sent(
    broker: str,
) -> None:
    """The book has taken the record: an old halt would halt again."""
    run = "letter-beside"
    await declare(broker, run)
    origin = Origin(prefix_of(run) + PORTFOLIO_EVENTS.name, 0, 7, 0, b"main")
    of_book = DeadLetter.of(RecordError("BAD_LIMIT", "x"), origin, "risk", b"{}")
    of_archive = DeadLetter.of(RecordError("REFUSED_BY_SQL", "x"), origin, "archive", b"{}")
    await bury(broker, of_book, of_archive, run=run)
    log = LetterLog(broker, run)
    first, second = sorted(await read(log), key=lambda letter: letter.stage)
    assert (first.stage, second.stage, first.id) == ("archive", "risk", second.id)
    with pytest.raises(RecordError, match="the role archive, which only reads along"):
        await log.replay([first], never)


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
    found = await read(log)
    assert [letter.reason for letter in found] == ["LATE", "BAD_COLUMN"]
    assert (found[0].raw, found[0].key, found[0].topic) == (TICK, b"AAA", ticks)
    with pytest.raises(RecordError, match="NOT_SENDABLE"):
        await log.replay(found, never)
    again: list[Sent] = []
    await log.replay(found[:1], again.append)
    (sent,) = again
    assert (sent.topic, sent.partition) == (ticks, partition_of("AAA", 1))
    async with reading(broker) as consumer:
        place = TopicPartition(ticks, sent.partition)
        (record,) = [said async for said in records(consumer, place)]
    assert (record.key, record.value) == (b"AAA", TICK)
    assert dict(record.headers) == {"replayed": late.origin.id().encode()}


async def test_letters_when_a_run_has_none_then_there_are_none(broker: str) -> None:
    """An empty topic is an answer."""
    await declare(broker, "no-letters")
    assert await read(LetterLog(broker, "no-letters")) == []


async def test_letters_when_there_is_no_such_run_then_says_which_there_are(broker: str) -> None:
    """Nothing is known of it: that is not the word of a run in which all is well."""
    await declare(broker, "0-first")  # by its name: only some are named
    with pytest.raises(SettingsError) as told:
        await read(LetterLog(broker, "no-such-run"))
    assert "there is no topic no-such-run.dead-letters; runs that have one: 0-first" in str(
        told.value
    )


async def test_find_when_few_are_wanted_then_keeps_the_newest_and_counts_all(broker: str) -> None:
    """Of letters that are not shown nothing is kept but their reason."""
    run = "letter-newest"
    await declare(broker, run)
    ticks = prefix_of(run) + MARKET_TICKS.name
    origins = [Origin(ticks, 0, offset, 0, b"AAA") for offset in range(5)]
    reasons = ["LATE", "LATE", "NOT_JSON", "LATE", "NOT_JSON"]
    told = [
        DeadLetter.of(RecordError(reason, "x"), origin, "bars", TICK)
        for reason, origin in zip(reasons, origins, strict=True)
    ]
    await bury(broker, *told, told[0], run=run)
    letters = LetterLog(broker, run).letters()
    found = await find(letters, lambda one: one.reason == "LATE", most=2)
    assert [letter.id for letter in found.letters] == [origins[1].id(), origins[3].id()]
    assert found.by_reason == {"LATE": 3, "NOT_JSON": 2}
