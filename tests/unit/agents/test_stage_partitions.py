"""Partitions of a stage: beside each other while one waits, and when a stage lingers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.agents.test_stage import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Run a stage until the test is over."""
    made = World()
    yield made
    for gate in made.producer.gates.values():
        gate.set()
    made.task.cancel()
    await made.revoke(0, 1)


async def test_run_when_one_partition_waits_then_the_others_go_on(world: World) -> None:
    """One has no acknowledgement yet; the other has a task of its own, and its own sends."""
    gate = world.producer.gates[b"a"] = asyncio.Event()
    world.feed(0, b"a")
    for offset in range(3):
        world.feed(offset, b"%d" % offset, partition=1)
        await world.settle()
    assert world.sent() == [[b"0"], [b"1"], [b"2"]]
    gate.set()
    await world.settle()
    assert world.sent()[3:] == [[b"a"]]


async def test_run_when_a_waiting_partition_has_eight_more_batches_then_reading_waits_too(
    world: World,
) -> None:
    """What waits is bounded: behind its queue the stage takes nothing, of no partition."""
    gate = world.producer.gates[b"a"] = asyncio.Event()
    world.feed(0, b"a")
    await world.settle()
    for offset in range(1, 9):
        world.feed(offset, b"%d" % offset)
    world.feed(0, b"b", partition=1)
    await world.settle()
    assert world.sent() == [[b"b"]]
    world.feed(9, b"9")
    world.feed(1, b"c", partition=1)
    await world.settle()
    assert world.sent() == [[b"b"]]
    gate.set()
    await world.settle()
    assert sorted(value for values in world.sent() for value in values) == [
        *(b"%d" % offset for offset in range(1, 10)),
        *(b"a", b"b", b"c"),
    ]


async def test_run_when_a_stage_lingers_then_takes_what_comes_meanwhile(world: World) -> None:
    """For a moment; what waits already is taken at once."""
    world.stage.linger_s = 0.3
    world.feed(0, b"a")
    await world.settle()
    world.feed(1, b"b")
    await asyncio.sleep(0.6)
    assert world.sent() == [[b"a", b"b"]]


async def test_stop_when_a_stage_lingers_then_takes_nothing_past_what_was_dropped(
    world: World,
) -> None:
    """Eight batches fill the queue and one waits for room: behind the stop it has it at once."""
    world.stage.linger_s = 0.3
    world.feed(0, b"0")
    await world.settle()
    for offset in range(1, 10):
        world.feed(offset, b"%d" % offset)
    await world.settle()
    await world.revoke(0)
    assert world.sent() == [[b"0"]]
    assert [entry for entry in world.log if entry[0] == "progress"] == [("progress", 0, 1)]
