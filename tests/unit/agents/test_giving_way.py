"""What reads along takes a whole bar's records together, and never waits while it is behind."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer

from agents import giving_way
from agents.giving_way import gathered

Fetched = dict[str, list[Any]]


def records(*offsets: int) -> list[Any]:
    """Give records."""
    return [SimpleNamespace(offset=offset) for offset in offsets]


class Played:
    """A consumer that hands out prepared fetches, and keeps what it was asked for."""

    def __init__(self, end: int, *fetches: Fetched) -> None:
        self._end = end
        self._fetches = list(fetches)
        self.asked: list[tuple[int, int]] = []

    async def getmany(self, *, timeout_ms: int = 0, max_records: int) -> Fetched:
        """Hand out the next one."""
        self.asked.append((timeout_ms, max_records))
        return self._fetches.pop(0)

    def assignment(self) -> set[str]:
        """Return what it has; the second partition has just gone."""
        return {"a"}

    def highwater(self, place: str) -> int | None:
        """Return where the log of its partition ends."""
        return {"a": self._end}[place]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of what was slept, instead of sleeping."""
    naps: list[float] = []

    async def sleep(nap_s: float) -> None:
        naps.append(nap_s)

    monkeypatch.setattr(giving_way.asyncio, "sleep", sleep)
    return naps


async def take(consumer: Played) -> dict[str, list[int]]:
    """Gather up to four records; return their offsets."""
    found: Any = await gathered(cast("AIOKafkaConsumer", consumer), 500, 4)
    return {place: [one.offset for one in held] for place, held in found.items()}


async def test_gathered_when_a_bar_begins_to_come_then_the_rest_of_it_is_taken_too(
    slept: list[float],
) -> None:
    """In order, after a moment, and no more than was asked for."""
    consumer = Played(2, {"a": records(1)}, {"a": records(2), "b": records(7)})
    assert await take(consumer) == {"a": [1, 2], "b": [7]}
    assert consumer.asked == [(500, 4), (0, 3)]
    assert slept == [0.25]


@pytest.mark.parametrize(
    ("end", "fetched"),
    [(9, {}), (3, {"a": [1, 2], "b": [3, 4]}), (4, {"a": [1, 2]})],
    ids=["nothing", "full", "behind"],
)
async def test_gathered_when_nothing_or_more_is_there_then_goes_on_at_once(
    slept: list[float], end: int, fetched: dict[str, list[int]]
) -> None:
    """Who is behind catches up without a pause."""
    given = {place: records(*offsets) for place, offsets in fetched.items()}
    assert await take(Played(end, given)) == fetched
    assert slept == []
