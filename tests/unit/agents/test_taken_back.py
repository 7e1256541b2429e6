"""The watch for models that decide although learning took them back, without the role rollout."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from agents.taken_back import STAGE, STAGES, UPDATES, TakenBackWatch
from models.rollout.stages import Act, start
from streams.model_updates import ModelUpdate
from streams.timestamps import format_ns
from tables.rollout import state_event
from tables.stores.decision_log import LogRecord
from tests.builders import MIDNIGHT
from tests.unit.agents.test_rollout import World

MS = 1_000_000


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return models that decide, and a challenger."""
    return World(tmp_path)


def record(topic: str, value: bytes | None, at_ns: int = MIDNIGHT) -> LogRecord:
    """Return a record of a topic of the run."""
    return LogRecord(f"r.{topic}", 0, 0, at_ns // MS, None, value, [])


def taken_back(models: str, at_ns: int) -> LogRecord:
    """Return what learning says of models that did not stand."""
    update = ModelUpdate(
        timestamp=format_ns(MIDNIGHT), job_id=f"j{at_ns}", model_id="m",
        update_type="rollback", outcome="rolled_back", before=models, after="",
    )  # fmt: skip
    return record(UPDATES, msgspec.json.encode(update), at_ns)


def shown() -> float | None:
    """Return the gauge."""
    return REGISTRY.get_sample_value("tradewind_taken_back_decides")


def test_show_when_models_that_decide_were_taken_back_then_is_one_until_others_decide(
    world: World,
) -> None:
    """No rollout has to run, and no role has to move one."""
    deciding = world.market.challenger
    watch = TakenBackWatch(world.market.epochs, lambda: deciding)
    watch.show()
    assert shown() == 0.0
    watch.take(taken_back(deciding, MIDNIGHT))
    watch.show()
    assert shown() == 1.0
    deciding = world.market.epochs.load(world.serving).epoch.models
    watch.show()
    assert shown() == 0.0


def test_show_when_a_rollout_was_begun_behind_it_then_is_zero(world: World) -> None:
    """Who begins one after that knew it, and wants these models all the same."""
    champion = world.market.epochs.load(world.serving).epoch.models
    challenger = world.market.challenger
    watch = TakenBackWatch(world.market.epochs, lambda: champion)
    watch.take(taken_back(challenger, MIDNIGHT))
    for at_ns, expected in ((MIDNIGHT - MS, 1.0), (MIDNIGHT + MS, 0.0)):
        rollout = start("r1", champion, challenger, Act("start", at_ns, "me"))
        rollout = rollout._replace(stage=1)  # the first one in which it decides
        assert rollout.share > 0.0
        watch.take(record(STAGES, msgspec.json.encode(state_event(rollout))))
        watch.show()
        assert shown() == expected


def test_take_when_a_record_cannot_be_used_then_is_counted_and_the_rest_goes_on(
    world: World,
) -> None:
    """A record of another version ends no watch; one that was compacted away says nothing."""
    labels = {"stage": STAGE, "reason": "NOT_JSON"}
    before = REGISTRY.get_sample_value("tradewind_dead_letters_total", labels) or 0.0
    watch = TakenBackWatch(world.market.epochs, lambda: world.market.challenger)
    watch.take(record(UPDATES, b"{"))
    watch.take(record(STAGES, None))
    watch.take(taken_back(world.market.challenger, MIDNIGHT))
    watch.show()
    assert shown() == 1.0
    assert REGISTRY.get_sample_value("tradewind_dead_letters_total", labels) == before + 1
