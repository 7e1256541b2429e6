"""The watchdog: work without progress ends a worker, everything else leaves it alone."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from agents import watchdog
from agents.stage import Stage
from agents.watchdog import GroupStuck, StageStuck, Standing, TopicGone, Watchdog, Watched
from streams.transport import Consumer, Producer

TOPIC = "r1.market-ticks"
PLACE = TP(TOPIC, 0)


class FakeConsumer(Consumer):
    """A consumer that says what the test wants."""

    def __init__(self) -> None:
        self.ends = {PLACE: 10}
        self.fetched: dict[TP, int | None] = {PLACE: 10}
        self.goes_on = {PLACE: 10}

    def assignment(self) -> set[TP]:
        """Return a partition of the stage, and one of somebody else's."""
        return {PLACE, TP("changelog", 0)}

    def thread_loop(self) -> asyncio.AbstractEventLoop:
        """Return the test's own."""
        return asyncio.get_running_loop()

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Return the ends of what was asked for."""
        return {tp: self.ends[tp] for tp in partitions}

    async def position(self, tp: TP) -> int | None:
        """Return how far was fetched."""
        return self.fetched[tp]


class FakeProducer(Producer):
    """A producer whose broker answers, or does not."""

    def __init__(self) -> None:
        self.is_there, self.fails = True, False
        self.deleted: set[str] = set()

    async def answers(self) -> bool:
        """Return what the test wants."""
        if self.fails:
            raise KafkaError("no broker")
        return self.is_there

    async def gone(self) -> set[str]:
        """Return what the test has deleted, if the broker answers."""
        return self.deleted if await self.answers() else set()


class World:
    """A worker of one stage, whose offsets the test moves."""

    def __init__(self) -> None:
        self.consumer = FakeConsumer()
        self.crashes: list[BaseException] = []
        self.fold: Any = SimpleNamespace(next_offset=10)
        self.handed_on = self.consumer.goes_on
        self.producer, self.to_recover = FakeProducer(), 7
        self.app = SimpleNamespace(
            rebalancing=False,
            rebalancing_count=1,
            in_recovery=False,
            tables=SimpleNamespace(
                recovery=SimpleNamespace(active_remaining_total=lambda: self.to_recover)
            ),
            loop=None,
            consumer=self.consumer,
            producer=self.producer,
            crash=self.crash,
        )
        stage = cast(Stage, SimpleNamespace(name="bars", fold_of=lambda _: self.fold))
        watched = [Watched(stage, TOPIC)]
        self.dog = Watchdog(cast(faust.App, self.app), watched, looks=3, every_s=0.001)

    async def crash(self, error: BaseException) -> None:
        """Write down why the worker ends."""
        self.crashes.append(error)

    async def look(self, n: int) -> int:
        """Look so often, and count the ends so far."""
        for _ in range(n):
            await self.dog.look()
        return len(self.crashes)


@pytest.fixture
def world() -> World:
    """Give a worker with one stage."""
    return World()


async def test_look_when_a_stage_is_stuck_then_the_worker_says_where_and_ends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of twelve records were never folded; its task waits for what never comes."""

    async def never() -> None:
        await asyncio.Event().wait()

    waits = asyncio.create_task(never(), name="bars-0")
    world.handed_on[PLACE] = 12
    assert await world.look(3) == 0
    assert await world.look(1) == 1
    waits.cancel()
    (error,) = world.crashes
    assert "stage bars: r1.market-ticks:0 stands at offset 10" in str(error)
    (line,) = caplog.messages
    assert "never" in line.partition("this process ends")[2]


@pytest.mark.parametrize("what", ["folded", "fetched"])
async def test_look_when_there_is_progress_then_the_looks_begin_anew(
    world: World, what: str
) -> None:
    """However slow it is, one record between two looks is progress."""
    world.handed_on[PLACE], world.consumer.ends[PLACE] = 100, 100
    for number in range(10):
        if what == "folded":
            world.fold.next_offset = 10 + number
        else:
            world.consumer.fetched[PLACE] = 10 + number
        assert await world.look(1) == 0
    assert await world.look(3) == 1


async def test_look_when_the_broker_has_what_nobody_fetches_then_the_worker_ends(
    world: World,
) -> None:
    """Seventeen records that never arrive; sixteen may be markers of transactions."""
    world.consumer.ends[PLACE] = 26
    assert await world.look(10) == 0
    world.consumer.ends[PLACE] = 27
    assert await world.look(3) == 1


async def test_look_when_what_was_fetched_is_lost_on_its_way_then_the_worker_ends(
    world: World,
) -> None:
    """The position is at the end, and nothing of it has come to the stage."""
    world.consumer.ends[PLACE] = world.consumer.fetched[PLACE] = 27
    assert await world.look(3) == 0
    assert await world.look(1) == 1


@pytest.mark.parametrize("state", ["rebalancing", "in_recovery", "away", "silent", "unknown"])
async def test_look_when_the_stage_is_not_to_blame_then_nothing_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Somebody else's trouble ends no worker, and what was counted before it is forgotten."""
    world.handed_on[PLACE] = 12
    await world.look(2)
    if state == "away":
        monkeypatch.setattr(watchdog, "n_waiting", lambda: 1)
    elif state == "silent":
        world.consumer.ends = {}
    elif state == "unknown":
        world.consumer.fetched[PLACE] = None
    else:
        setattr(world.app, state, True)
    for _ in range(5):
        world.to_recover -= 1  # a group or a recovery that goes on
        assert await world.look(1) == 0


@pytest.mark.parametrize("state", ["rebalancing", "in_recovery"])
async def test_look_when_a_rebalance_does_not_end_then_the_worker_says_where_all_wait(
    world: World, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    """Nobody takes the group's part of it for progress: the broker answers all the time."""

    async def never() -> None:
        await asyncio.Event().wait()

    waits = asyncio.create_task(never())
    setattr(world.app, state, True)
    world.app.loop = asyncio.get_running_loop()
    assert await world.look(3) == 0
    assert await world.look(1) == 1
    waits.cancel()
    (error,) = world.crashes
    assert isinstance(error, GroupStuck)
    assert "rebalance 1 since the start, with 7 records to recover, does not end" in str(error)
    (line,) = caplog.messages
    place = f"1 x {never.__qualname__} at {__file__}:"
    assert line.count(place) == 2


@pytest.mark.parametrize("what", ["again", "recovers", "ends", "away", "silent", "fails"])
async def test_look_when_a_rebalance_goes_on_or_the_broker_is_away_then_the_looks_begin_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each rebalance has a number, a recovery less and less to read."""
    world.app.rebalancing, world.app.loop = True, asyncio.get_running_loop()
    for _ in range(4):
        assert await world.look(3) == 0
        if what == "again":
            world.app.rebalancing_count += 1
        elif what == "recovers":
            world.to_recover -= 1
        elif what == "ends":
            world.app.rebalancing = False
            await world.look(1)
            world.app.rebalancing = True
        else:
            with monkeypatch.context() as patched:
                patched.setattr(watchdog, "n_waiting", lambda: int(what == "away"))
                patched.setattr(world.producer, "is_there", what != "silent")
                patched.setattr(world.producer, "fails", what == "fails")
                await world.look(1)
    assert await world.look(4) == 1


async def test_look_when_a_send_waits_for_a_topic_that_is_gone_then_the_worker_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To aiokafka it is trouble that passes, and a worker that waits is nobody's fault."""
    world.producer.deleted = {"r1.b", "r1.a"}
    assert await world.look(5) == 0  # nothing waits for it
    monkeypatch.setattr(watchdog, "n_waiting", lambda: 1)
    assert await world.look(3) == 0
    with monkeypatch.context() as patched:
        patched.setattr(world.producer, "is_there", False)
        assert await world.look(1) == 0  # whoever is away may have it
    assert await world.look(3) == 0
    assert await world.look(1) == 1
    assert isinstance(world.crashes[0], TopicGone)
    assert "does not have r1.a, r1.b, to which this worker sends" in caplog.text


async def test_look_when_nothing_came_since_the_start_then_there_is_no_work(world: World) -> None:
    """A partition without a fold has been handed nothing."""
    world.fold = None
    assert await world.look(5) == 0
    assert not Standing(5, 5, 7, 8).is_behind


async def test_watchdog_when_started_then_looks_until_it_is_stopped(world: World) -> None:
    """A part of the worker as any other."""
    world.handed_on[PLACE] = 12
    async with world.dog:
        while not world.crashes:
            await world.dog.sleep(0.001)
    assert isinstance(world.crashes[0], StageStuck)
