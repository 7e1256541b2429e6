"""The desk of a worker: one wish in the log for each key, however many ask at once."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents import desk as desks
from agents.aside import Aside
from agents.desk import Stages, WorkerDesk
from agents.stage import Stage
from streams.transport import Outgoing
from tables.stores.feature_cache import FeatureCache
from tables.stores.spill import Spill
from tables.views.problems import ProblemError
from tests.unit.agents.test_aside import World


class Log:
    """A log that is folded as soon as something is appended to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.listeners: list[Any] = []
        self.on_revoked: list[Any] = []
        self.appended: list[Outgoing] = []
        self.prefix = ""

    def fold_of(self, _partition: int) -> Any:  # noqa: ANN401  as the stage's
        """Return the fold."""
        return self._world.log.run.fold

    async def append(self, record: Outgoing) -> None:
        """Take a record, fold it, and tell who listens."""
        self.appended.append(record)
        await asyncio.sleep(0)
        fields = json.loads(record.value or b"")
        outputs = self._world.log.give(self._world.log.say(fields.pop("record"), **fields))
        for hear in self.listeners:
            hear(outputs)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a world whose worker is the only one."""
    async with Spill(tmp_path / "spill") as spill:
        yield World(tmp_path, spill)


def desk_of(world: World, log: Log, monkeypatch: pytest.MonkeyPatch) -> WorkerDesk:
    """Make the desk of a worker that appends to a log."""
    monkeypatch.setattr(desks, "producer_of", lambda _app: log)
    app = cast("Any", SimpleNamespace(conf=SimpleNamespace(topic_partitions=1)))
    other = cast("Stage", SimpleNamespace(listeners=[]))
    stages = Stages(cast("Stage", log), other)
    return WorkerDesk(app, stages, world.log.epochs, FeatureCache(""), world.aside)


async def test_decide_when_facts_were_made_aside_then_the_wish_stands_behind_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 lots were answered: a second wish for as many sees them, and wants nothing more."""
    log = Log(world)
    desk = desk_of(world, log, monkeypatch)
    await world.decide(1)
    settling = asyncio.create_task(world.aside.settle(desk.live))
    asking = asyncio.create_task(desk.decide(world.wish(2), {}))
    async with asyncio.timeout(5):
        while not world.broker.sent:  # noqa: ASYNC110  a list has no event
            await asyncio.sleep(0.01)
        assert (log.appended, asking.done()) == ([], False)
        for fact in world.broker.sent:
            await log.append(fact)
        said = json.loads(await asking)
    settling.cancel()
    names = [json.loads(record.value or b"")["record"] for record in log.appended]
    assert names == ["decided_intent", "target_intent"]
    assert (said["action"], said["quantity"]) == ("HOLD", 0)


async def test_decide_when_one_key_waits_twice_for_the_log_then_it_is_appended_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both wait until what was decided aside is in the log; both have the same bytes then."""
    log = Log(world)
    desk = desk_of(world, log, monkeypatch)
    let_go = asyncio.Event()
    monkeypatch.setattr(Aside, "settled", lambda _self, _portfolio: let_go.wait())
    asking = [asyncio.create_task(desk.decide(world.wish(1), {})) for _ in range(2)]
    await asyncio.sleep(0)
    let_go.set()
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(*asking)
    assert first == second
    assert [json.loads(record.value or b"")["intent_id"] for record in log.appended] == ["k1"]


async def test_decide_when_the_portfolio_moved_away_and_came_back_then_the_key_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker folds the wish, so nobody here hears of it: who asks again is told so."""
    log = Log(world)
    desk = desk_of(world, log, monkeypatch)
    log.listeners.clear()
    asking = asyncio.create_task(desk.decide(world.wish(1), {}))
    await asyncio.sleep(0.05)
    assert (len(log.appended), asking.done()) == (1, False)
    (moved,) = log.on_revoked
    moved()
    async with asyncio.timeout(5):
        with pytest.raises(ProblemError, match="409 DECIDED_BEFORE"):
            await desk.decide(world.wish(1), {})
        assert not asking.done()
        moved()
        with pytest.raises(ProblemError, match=r"504 MOVED_AWAY.* ask again with the same key"):
            await asking
    assert (len(log.appended), desk._waiting) == (1, {})


async def test_decide_when_the_portfolio_stays_in_a_rebalance_then_all_who_ask_are_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partition goes away and comes back, and the wish is folded here all the same."""
    log = Log(world)
    desk = desk_of(world, log, monkeypatch)
    gate, fold = asyncio.Event(), log.append

    async def append(record: Outgoing) -> None:
        await gate.wait()
        await fold(record)

    monkeypatch.setattr(log, "append", append)
    first = asyncio.create_task(desk.decide(world.wish(1), {}))
    await asyncio.sleep(0.05)
    (moved,) = log.on_revoked
    moved()
    again = asyncio.create_task(desk.decide(world.wish(1), {}))
    await asyncio.sleep(0.05)
    gate.set()
    async with asyncio.timeout(5):
        assert await first == await again
    assert len(log.appended) == 1


@pytest.mark.parametrize(
    ("others", "expected"),
    [((), []), (("http://b", "http://c"), ["http://c", "http://b", "http://c"])],
)
def test_informed_when_no_bar_has_come_then_the_others_are_asked_in_turn(
    others: tuple[str, ...], expected: list[str]
) -> None:
    """Itself and one without partitions can say nothing; nobody left is a reason to wait."""
    urls = {"http://a": {"t": [0]}, "http://idle": {"t": []}} | {url: {"t": [1]} for url in others}
    router = SimpleNamespace(tables_metadata=lambda: urls)
    app = SimpleNamespace(conf=SimpleNamespace(canonical_url="http://a"), router=router)
    stage = cast("Stage", SimpleNamespace(listeners=[], on_revoked=[], folds=list))
    none = cast("Any", None)
    desk = WorkerDesk(cast("Any", app), Stages(stage, stage), none, none, none)
    if not others:
        with pytest.raises(ProblemError, match="503 NO_EPOCH"):
            desk.informed()
    assert [desk.informed() for _ in expected] == expected


@pytest.mark.parametrize(
    ("silent_s", "waits", "said"),
    [
        (1.0, 0, "answers"),
        (math.inf, 0, "answers"),
        (7.0, 0, "no heartbeat was answered for 7 s"),
        (1.0, 2, "2 sends wait for it"),
    ],
)
@pytest.mark.parametrize("can_decide", [True, False])
def test_parts_when_the_broker_is_silent_then_it_is_said_and_needed_unless_decided_aside(
    monkeypatch: pytest.MonkeyPatch, silent_s: float, waits: int, said: str, *, can_decide: bool
) -> None:
    """A worker that still decides is ready, and tells whoever looks what it does without."""
    monkeypatch.setattr(desks.clock, "monotonic_s", lambda: 100.0)
    monkeypatch.setattr(desks, "n_waiting", lambda: waits)
    consumer = SimpleNamespace(assignment=lambda: {1}, member_at_s=lambda: 100.0 - silent_s)
    monkeypatch.setattr(desks, "consumer_of", lambda _app: consumer)
    stage = cast("Stage", SimpleNamespace(listeners=[], on_revoked=[], folds=list))
    app = cast("Any", SimpleNamespace(router=SimpleNamespace(tables_metadata=dict)))
    aside, none = cast("Any", SimpleNamespace(can_decide=can_decide)), cast("Any", None)
    desk = WorkerDesk(app, Stages(stage, stage), none, FeatureCache(""), aside)
    broker = next(part for part in desk.parts() if part.name == "broker")
    assert (broker.detail, broker.is_well) == (said, said == "answers")
    assert broker.is_needed is not can_decide
