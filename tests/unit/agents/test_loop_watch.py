"""The watch of a loop: one that turns lives, one that stands is ended with its stack."""

import asyncio
import os
import threading
import time

import pytest

from agents import loop_watch
from agents.loop_watch import loop_watched


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Keep the status with which the process would end, in place of ending it."""
    found: list[int] = []
    monkeypatch.setattr(os, "_exit", found.append)
    return found


async def test_loop_when_it_stands_then_the_process_says_so_and_ends(
    ended: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step that never gives the loop back: nothing in the loop could tell of it."""
    dumped = threading.Event()
    monkeypatch.setattr(loop_watch.faulthandler, "dump_traceback", dumped.set)
    with loop_watched(looks=2, every_s=0.01):
        deadline_s = time.monotonic() + 10.0
        while not ended and time.monotonic() < deadline_s:
            time.sleep(0.01)  # noqa: ASYNC251  that is the trouble
    assert (ended, dumped.is_set()) == ([1], True)
    assert caplog.messages == ["the loop has not turned for 0.02 s, this process ends"]


async def test_loop_when_it_turns_then_nothing_ends_during_the_block_or_after(
    ended: list[int],
) -> None:
    """Its own thread ends with the block."""
    with loop_watched(looks=20, every_s=0.01):
        await asyncio.sleep(0.3)
    time.sleep(0.3)  # noqa: ASYNC251  nobody looks any more
    assert ended == []
