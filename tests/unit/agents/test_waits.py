"""Where tasks wait: equal places counted, down to the innermost await."""

import asyncio
import types
from collections.abc import AsyncIterator, Generator

import pytest

from agents import waits


@types.coroutine
def as_generator(ever: asyncio.Event) -> Generator[None, None, None]:
    """Wait in a generator that is a coroutine, as libraries do."""
    yield from ever.wait().__await__()


async def by_generator(ever: asyncio.Event) -> None:
    """Wait through it."""
    await as_generator(ever)


async def outer(ever: asyncio.Event) -> None:
    """Wait through another."""
    await ever.wait()


async def unseen(ever: asyncio.Event) -> AsyncIterator[None]:
    """Wait where nobody sees it."""
    await ever.wait()
    yield


async def iterates(ever: asyncio.Event) -> None:
    """Wait for it."""
    async for _ in unseen(ever):
        pass


async def test_of_loop_when_tasks_wait_at_one_place_then_it_is_one_line_with_their_number() -> None:
    """The names from the begin on, and the innermost line."""
    ever = asyncio.Event()
    tasks = [asyncio.create_task(outer(ever)) for _ in range(12)]
    await asyncio.sleep(0)
    told = waits.of_loop(asyncio.get_running_loop())
    assert f"  12 x outer > Event.wait at {asyncio.locks.__file__}:" in told
    ever.set()
    await asyncio.gather(*tasks)
    assert "outer" not in waits.of_loop(asyncio.get_running_loop())


@pytest.mark.parametrize(
    ("waiter", "last"), [(by_generator, "as_generator"), (iterates, "iterates"), (outer, "wait")]
)
async def test_of_task_when_it_waits_then_lists_its_frames_as_far_as_they_are_seen(
    waiter: object, last: str
) -> None:
    """Through generators, and up to an asynchronous one."""
    ever = asyncio.Event()
    task = asyncio.create_task(waiter(ever), name="watched")  # type: ignore[operator]
    await asyncio.sleep(0)
    lines = waits.of_task("watched").splitlines()
    assert lines[0].endswith(f" {waiter.__name__}")  # type: ignore[attr-defined]
    assert any(line.endswith(f" {last}") for line in lines)
    assert waits.of_task("nobody") == ""
    ever.set()
    await task


async def test_of_loop_when_a_task_has_not_begun_or_is_done_then_it_has_its_place_or_none() -> None:
    """A task that has not run yet stands at its first line."""
    ever = asyncio.Event()
    task = asyncio.create_task(outer(ever))
    assert f"outer at {__file__}:" in waits.of_loop(asyncio.get_running_loop())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
