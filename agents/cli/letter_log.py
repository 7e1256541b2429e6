"""The dead letters of a run as a person uses them: looked through, looked at, sent again."""

import heapq
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, ConsumerRecord

from agents.cli.book_access import RUN_NAME
from agents.run.topic_log import partitions, reading, records
from agents.topology import prefix_of
from streams.errors import RecordError, SettingsError
from streams.kafka_access import kafka
from streams.topics import DEAD_LETTERS, MARKET_TICKS, PORTFOLIO_EVENTS, VENUE_EXECUTIONS

# What other programs write; all else is made by stages, and made anew from these.
_SENDABLE = (MARKET_TICKS.name, PORTFOLIO_EVENTS.name, VENUE_EXECUTIONS.name)


# Roles that read what stages read as well.
_BESIDE = ("archive", "forensics", "explain")

_MOST_NAMED = 20


class Letter(NamedTuple):
    """A dead letter: its id names where the record stood, ``raw`` are the record's own bytes."""

    id: str
    timestamp_ms: int
    reason: str
    detail: str
    stage: str
    field: str
    topic: str
    key: bytes | None
    raw: bytes

    def is_beside(self) -> bool:
        """Tell whether a role refused it that only reads what a stage reads as well."""
        return self.stage in _BESIDE


class Found(NamedTuple):
    """Letters that were looked for, in order of time, and how many of each reason there are."""

    letters: list[Letter]
    by_reason: Counter[str]


class Sent(NamedTuple):
    """Where a letter's bytes stand now."""

    id: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class LetterLog:
    """The dead letters of a run at a broker."""

    servers: str
    run: str

    async def letters(self) -> AsyncGenerator[Letter, None]:
        """Yield all letters that the topic holds, each of a stage once.

        A record that the book and a role beside it both refuse has two letters of one id.

        Raises
        ------
        SettingsError
            If the run has no such topic, with the runs that have one.
        """
        topic = prefix_of(self.run) + DEAD_LETTERS.name
        places = await partitions(self.servers, topic)
        seen: set[tuple[str, str]] = set()
        async with reading(self.servers) as consumer:
            if not places:
                raise _no_topic(topic, await consumer.topics())
            for place in places:
                async for said in records(consumer, place):
                    letter = _letter(said)
                    if (letter.id, letter.stage) not in seen:
                        seen.add((letter.id, letter.stage))
                        yield letter

    async def replay(self, letters: Iterable[Letter], sent: Callable[[Sent], None]) -> None:
        """Append the bytes of letters to the topics they came from, each under its own key.

        The partition follows from the key, so what stood in a wrong one comes to its own. ``sent``
        is told of each as soon as the broker has it.

        Raises
        ------
        RecordError
            ``NOT_SENDABLE``, before anything is sent, for what a stage had made.
        """
        letters = list(letters)
        for letter in letters:
            _refuse_unsendable(letter, prefix_of(self.run))
        producer = AIOKafkaProducer(**kafka(self.servers), enable_idempotence=True, acks="all")
        await producer.start()
        try:
            for letter in letters:
                sent(await _send(producer, letter))
        finally:
            await producer.stop()


def checked_run(run: str) -> str:
    """Return the name of a run if one can be called that; empty is the live one.

    Raises
    ------
    SettingsError
        If it is none.
    """
    if run and not RUN_NAME.fullmatch(run):
        raise SettingsError(
            f"--run was {run!r}; expected letters, digits, - and _, or nothing for the live run"
        )
    return run


async def find(
    letters: AsyncIterator[Letter], is_wanted: Callable[[Letter], bool], most: int = sys.maxsize
) -> Found:
    """Return the newest letters that are wanted; of all others only their reason is kept."""
    by_reason: Counter[str] = Counter()
    newest: list[tuple[tuple[int, str, str], Letter]] = []
    async for letter in letters:
        by_reason[letter.reason] += 1
        if is_wanted(letter):
            heapq.heappush(newest, ((letter.timestamp_ms, letter.id, letter.stage), letter))
            if len(newest) > most:
                heapq.heappop(newest)
    return Found([letter for _, letter in sorted(newest)], by_reason)


def _no_topic(topic: str, names: Iterable[str]) -> SettingsError:
    """Return the error that says which runs have dead letters."""
    ends = f".{DEAD_LETTERS.name}"
    runs = sorted(name.removesuffix(ends) for name in names if name.endswith(ends))
    named = ", ".join(runs[:_MOST_NAMED])
    if len(runs) > _MOST_NAMED:
        named += f" and {len(runs) - _MOST_NAMED:,} more"
    live = "; without --run it is the live one" if DEAD_LETTERS.name in names else ""
    return SettingsError(
        f"there is no topic {topic}; runs that have one: {named or 'none'}{live}. Give one of them "
        "as --run, or its stack as --name; topics are made when a run starts"
    )


async def _send(producer: AIOKafkaProducer, letter: Letter) -> Sent:
    headers = [("replayed", letter.id.encode())]
    sent = await producer.send_and_wait(letter.topic, letter.raw, key=letter.key, headers=headers)
    return Sent(letter.id, sent.topic, sent.partition, sent.offset)


def _refuse_unsendable(letter: Letter, prefix: str) -> None:
    if letter.is_beside():
        raise RecordError(
            "NOT_SENDABLE",
            f"{letter.id} is of the role {letter.stage}, which only reads along: the book has "
            "taken that record, and would take it twice",
        )
    if letter.topic.removeprefix(prefix) not in _SENDABLE or letter.key is None:
        raise RecordError(
            "NOT_SENDABLE",
            f"{letter.id} came from {letter.topic} with key {letter.key!r}; "
            f"expected a keyed record of {', '.join(_SENDABLE)}",
        )
    if not letter.raw.lstrip().startswith((b"{", b"[")):
        raise RecordError(
            "NOT_SENDABLE",
            f"{letter.id} holds {letter.raw[:16]!r}, which is no JSON; what a stage could not use "
            "is made anew when its ticks are replayed",
        )


def _letter(said: ConsumerRecord) -> Letter:
    headers = dict(said.headers)
    texts = {
        name: headers.get(name, b"").decode(errors="replace")
        for name in ("reason", "detail", "stage", "field", "topic")
    }
    name = (said.key or b"").decode(errors="replace")
    return Letter(name, said.timestamp, **texts, key=headers.get("key"), raw=said.value or b"")
