"""The role that moves rollouts, when learning takes models back."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents import rollout as role
from agents.rollout import UPDATES
from models.errors import Refused
from models.rollout import stages
from models.rollout.stages import Act
from tests.builders import MIDNIGHT
from tests.rollout_worlds import fetched, record
from tests.unit.agents.test_rollout import World

MILLISECOND = 1_000_000


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a role at midnight."""
    made = World(tmp_path)
    monkeypatch.setattr(role, "wall_ns", lambda: made.now_ns)
    return made


async def test_look_when_the_challenger_was_taken_back_then_goes_back(world: World) -> None:
    """In any stage, whatever it has shown; with the flag off it only goes on no more."""
    await world.begin()
    world.bars(0, 150)
    await world.role.set_flag("auto-rollback", "me", "", is_on=False)
    world.taken_back(world.market.challenger, MIDNIGHT - MILLISECOND)
    await world.role.look()
    assert world.role.told().evidence.reasons_against == []  # type: ignore[union-attr]
    world.taken_back(world.market.challenger, MIDNIGHT + MILLISECOND)
    await world.role.look()
    with pytest.raises(Refused, match="TAKEN_BACK"):
        await world.role.act("advance", "r1", "me", "")
    await world.role.set_flag("auto-rollback", "me", "", is_on=True)
    await world.role.look()
    made = world.last.transitions[-1]
    assert (world.last.state, made.by) == ("rolled_back", "automatic")
    assert "learning took its models back" in made.reason


async def test_look_when_models_that_decide_were_taken_back_then_goes_back(
    world: World,
) -> None:
    """By the record of the rollout that put them in charge."""
    await world.begin()
    for _ in range(4):
        over = stages.step(
            world.role._all["r1"], Act("advance", MIDNIGHT, "me", reasons_against=())
        )
        world.role._all["r1"] = over
    epoch = world.market.epochs.load(world.serving).epoch
    new = msgspec.structs.replace(epoch, models=world.market.challenger)
    world.serving = world.market.epochs.put(new)
    world.role._measure(None)
    await world.role.look()
    world.taken_back(world.market.challenger, MIDNIGHT + MILLISECOND)
    await world.role.look()
    assert world.last.state == "rolled_back"
    await world.role.look()
    assert len(world.sent) == 2


def test_take_when_an_update_cannot_be_read_then_is_counted(world: World) -> None:
    """What another version of learning says ends no guard."""
    labels = {"stage": "rollout", "reason": "NOT_JSON"}
    name = "tradewind_dead_letters_total"
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    world.role.take(fetched(f"r.{UPDATES}", record(f"r.{UPDATES}", b"{")))
    assert REGISTRY.get_sample_value(name, labels) == before + 1
