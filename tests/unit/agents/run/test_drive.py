"""Waiting for a run's decisions: who is to make them is watched meanwhile."""

import asyncio
from pathlib import Path

import pytest

from agents.run import drive
from agents.run.observer import Observer
from agents.run.workers import Children
from streams.brokers.waiting import wait_for
from streams.errors import WorkerFailedError


def wait(children: Children) -> None:
    """Wait for a decision that nobody will see."""
    watch = Observer("127.0.0.1:1", "", 1)
    asyncio.run(drive.decided(watch, 1, children, children.check))


def test_decided_when_the_worker_ends_then_says_so_at_once(tmp_path: Path) -> None:
    """Nobody waits three minutes for a process that is gone; its last words are in the message."""
    children = Children(tmp_path)
    children.start_program("worker-0", "/bin/sh", "-c", "echo out of order; exit 3")
    assert wait_for(lambda: not children.running["worker-0"].alive(), timeout_s=20)
    with pytest.raises(WorkerFailedError, match=r"(?s)ended by itself.*out of order"):
        wait(children)


def test_decided_when_the_worker_is_silent_then_its_log_is_in_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that lives and decides nothing is an error of its own kind."""
    monkeypatch.setattr(drive, "START_PATIENCE_S", 1.0)
    children = Children(tmp_path)
    children.start_program("worker-0", "/bin/sh", "-c", "echo waiting for Godot; exec sleep 60")
    children.start_program("page", "/bin/sleep", "60")
    try:
        with pytest.raises(WorkerFailedError, match=r"(?s)No decision came for 1 s.*Godot") as said:
            wait(children)
    finally:
        children.stop()
    assert "page" not in str(said.value)
