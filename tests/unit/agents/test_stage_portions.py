"""A step that causes very much sends it bit by bit, and says progress behind all of it."""

from collections.abc import AsyncIterator

import pytest

from agents import stage
from tests.unit.agents.test_stage import World


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Run a stage that holds three outputs at most, but for those of one record."""
    monkeypatch.setattr(stage, "_OUTPUTS", 3)
    made = World()
    yield made
    made.task.cancel()
    await made.revoke(0)


async def test_step_when_it_causes_very_much_then_sends_before_it_folds_on(world: World) -> None:
    """Dead letters come by the thousand in a record; all of a step would not fit into memory."""
    heard: list[int] = []
    world.stage.listeners.append(lambda outputs: heard.append(len(outputs)))
    world.feed(0, b"two", b"two", b"one", b"two", b"bad", b"due")
    await world.settle()
    await world.revoke(0)
    # An output, or the raw bytes of a letter: each once, in order, and progress behind the last.
    assert world.sent() == [[b"two"] * 4, [b"one", b"two", b"two"], [b"bad", b"due"]]
    assert heard == [4, 3, 2]
    assert [entry[0] for entry in world.log] == ["sent", "sent", "sent", "kept", "progress"]
    assert world.log[-1] == ("progress", 0, 6)
