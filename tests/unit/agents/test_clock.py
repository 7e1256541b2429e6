"""The clock between two beats: a change is announced before the bar that it is to decide."""

import asyncio
import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from agents import clock as clock_module
from agents.clock import Announced, follow, run_clock, turns
from models.rollout.stages import Act, Rollout, start
from streams.rollouts import FeatureFlag
from streams.sources.replay import Clock
from tables.rollout import state_event
from tests.builders import MIDNIGHT, MINUTE, epoch

FIRST, SECOND_EPOCH = Announced(1, "a" * 64), Announced(2, "b" * 64)


class Wall:
    """A wall clock that sleeps by itself: waiting moves it, and calls what is due."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.due: list[tuple[int, Callable[[], None]]] = []


class Spoken:
    """Stands in for the clock's producer: what was said, in order."""

    def __init__(self, wall: Wall, until: int) -> None:
        self.wall = wall
        self.said: list[tuple[str, int, int]] = []
        self.until = until

    async def announce(self, number: int, _digest: str, from_close_ns: int) -> None:
        """Note an announcement by the bar behind which it decides."""
        self.said.append(("epoch", number, (from_close_ns - MIDNIGHT) // MINUTE))

    async def beat(self, ts_event_ns: int, *, n: int, meant_ns: int) -> None:
        """Note a heartbeat by its bar."""
        assert n * MINUTE + 2_000_000_000 == ts_event_ns == meant_ns
        self.said.append(("beat", n - MIDNIGHT // MINUTE, 0))
        if len([each for each in self.said if each[0] == "beat"]) == self.until:
            raise asyncio.CancelledError


async def played(
    monkeypatch: pytest.MonkeyPatch, at_s: dict[float, Announced], until: int = 3
) -> list[tuple[str, int, int]]:
    """Run a clock from half past midnight's minute; changes come at seconds behind that."""
    wall = Wall(MIDNIGHT + MINUTE // 2)
    spoken = Spoken(wall, until)
    changes: asyncio.Queue[Announced] = asyncio.Queue()
    coming = sorted((wall.now_ns + int(s * 1e9), change) for s, change in at_s.items())

    async def waits(tasks: set[asyncio.Future[Any]], timeout: float) -> None:  # noqa: ASYNC109  its own
        until_ns = wall.now_ns + int(timeout * 1e9)
        if coming and coming[0][0] <= until_ns:
            wall.now_ns, change = coming.pop(0)
            changes.put_nowait(change)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert all(task.done() for task in tasks)
        else:
            wall.now_ns = until_ns

    monkeypatch.setattr(clock_module, "wall_ns", lambda: wall.now_ns)
    monkeypatch.setattr(
        clock_module,
        "asyncio",
        SimpleNamespace(
            wait=waits, Queue=asyncio.Queue, QueueEmpty=asyncio.QueueEmpty,
            ensure_future=asyncio.ensure_future,
        ),
    )  # fmt: skip
    with contextlib.suppress(asyncio.CancelledError):
        await run_clock(
            cast(Clock, spoken), epoch(), number=1, digest=FIRST.digest, changes=changes
        )
    return spoken.said


async def test_clock_when_nothing_changes_then_beats_at_every_boundary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its epoch first, then the boundary that has passed, then each as it comes."""
    assert await played(monkeypatch, {}) == [
        ("epoch", 1, 0), ("beat", 0, 0), ("beat", 1, 0), ("beat", 2, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("at_s", [0.0, 12.0, 31.999])
async def test_clock_when_a_change_comes_then_decides_the_bar_that_is_open(
    monkeypatch: pytest.MonkeyPatch, at_s: float
) -> None:
    """The heartbeat of bar 1 is due at 62 s: until then, what closes behind bar 0 is changed."""
    assert await played(monkeypatch, {at_s: SECOND_EPOCH}) == [
        ("epoch", 1, 0), ("beat", 0, 0), ("epoch", 2, 0), ("beat", 1, 0), ("beat", 2, 0),
    ]  # fmt: skip


async def test_clock_when_a_change_comes_behind_a_beat_then_is_for_the_next_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is closed is closed: at most one close lies between a change and its bar."""
    said = await played(monkeypatch, {32.5: SECOND_EPOCH, 33.0: Announced(3, "c" * 64)})
    assert said == [
        ("epoch", 1, 0), ("beat", 0, 0), ("beat", 1, 0), ("epoch", 2, 1), ("epoch", 3, 1),
        ("beat", 2, 0),
    ]  # fmt: skip


def record(value: bytes, offset: int = 0) -> SimpleNamespace:
    """Build a record of the topic."""
    return SimpleNamespace(value=value, offset=offset, topic="rollout-stages")


def begun() -> Rollout:
    """Return a rollout in shadow."""
    return start("r1", "0" * 64, "1" * 64, Act("start", MIDNIGHT, "me"))


def test_turns_when_records_come_then_only_rollouts_lead_to_epochs() -> None:
    """Flags are nobody's epoch, and bytes that are no record do not stop the time."""
    flag = FeatureFlag(
        timestamp="2026-01-01T00:00:00Z", name="auto-advance", is_on=False, by="me", reason=""
    )
    raw = msgspec.json.encode(state_event(begun()))
    seen: list[Rollout] = []

    def turn(rollout: Rollout) -> Announced | None:
        seen.append(rollout)
        return SECOND_EPOCH if len(seen) == 1 else None

    values = (msgspec.json.encode(flag), b"{", raw, raw)
    fetched = {0: [record(value, n) for n, value in enumerate(values)]}
    assert turns(fetched, turn) == [SECOND_EPOCH]
    assert seen == [begun(), begun()]


async def test_follow_when_a_rollout_is_told_then_the_change_waits_for_the_clock() -> None:
    """What is fetched goes to the clock, in order, until the process ends."""
    raw = msgspec.json.encode(state_event(begun()))
    changes: asyncio.Queue[Announced] = asyncio.Queue()

    class Consumer:
        """Gives one record, then nothing more."""

        n_asked = 0

        async def getmany(self, timeout_ms: int) -> dict[int, list[Any]]:
            """Return what there is."""
            assert timeout_ms > 0
            self.n_asked += 1
            if self.n_asked > 1:
                raise asyncio.CancelledError
            return {0: [record(raw)]}

    with contextlib.suppress(asyncio.CancelledError):
        await follow(cast(Any, Consumer()), lambda _rollout: SECOND_EPOCH, changes)
    assert changes.get_nowait() == SECOND_EPOCH
