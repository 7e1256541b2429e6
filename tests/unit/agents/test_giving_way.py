"""What reads along takes a whole bar's records together, and never waits while it is behind."""

from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer

from agents import giving_way
from agents.giving_way import gathered

Fetched = dict[str, list[int]]


class Played:
    """A consumer that hands out prepared fetches, and keeps what it was asked for."""

    def __init__(self, *fetches: Fetched) -> None:
        self._fetches = list(fetches)
        self.asked: list[tuple[int, int]] = []

    async def getmany(self, *, timeout_ms: int = 0, max_records: int) -> Fetched:
        """Hand out the next one."""
        self.asked.append((timeout_ms, max_records))
        return self._fetches.pop(0)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of what was slept, instead of sleeping."""
    naps: list[float] = []

    async def sleep(nap_s: float) -> None:
        naps.append(nap_s)

    monkeypatch.setattr(giving_way.asyncio, "sleep", sleep)
    return naps


async def take(consumer: Played) -> Any:  # noqa: ANN401  the numbers that stand for records
    """Gather up to four."""
    return await gathered(cast("AIOKafkaConsumer", consumer), 500, 4)


async def test_gathered_when_a_bar_begins_to_come_then_the_rest_of_it_is_taken_too(
    slept: list[float],
) -> None:
    """In order, after a moment, and no more than was asked for."""
    consumer = Played({"a": [1]}, {"a": [2], "b": [7]})
    assert await take(consumer) == {"a": [1, 2], "b": [7]}
    assert consumer.asked == [(500, 4), (0, 3)]
    assert slept == [0.25]


@pytest.mark.parametrize("fetched", [{}, {"a": [1, 2], "b": [3, 4]}])
async def test_gathered_when_nothing_or_much_is_there_then_goes_on_at_once(
    slept: list[float], fetched: Fetched
) -> None:
    """Who is behind catches up without a pause."""
    assert await take(Played(fetched)) == fetched
    assert slept == []
