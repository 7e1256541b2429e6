"""Who may open a home, decided before any broker starts."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.brokers import embedded
from streams.brokers.embedded import EmbeddedBroker, find_embedded, open_embedded
from streams.brokers.locks import FileLock
from streams.brokers.processes import birth_of
from streams.brokers.state import BrokerState, read_state, write_state
from streams.errors import BrokerFailedError, BrokerHeldError


@pytest.fixture
def running(tmp_path: Path) -> Iterator[BrokerState]:
    """Let this very process look like the detached broker of the home."""
    state = BrokerState(
        pid=os.getpid(),
        birth=birth_of(os.getpid()) or "",
        port=29092,
        controller_port=29093,
        version="4.1.2",
        detached=True,
        owner_pid=1234,
        created_ns=0,
    )
    write_state(tmp_path, state)
    with FileLock.take(tmp_path / "broker.lock"):
        yield state


def test_open_embedded_when_another_process_keeps_its_own_broker_then_it_is_named(
    tmp_path: Path, running: BrokerState
) -> None:
    """A broker that dies with its process is not shared."""
    write_state(tmp_path, replace(running, detached=False))
    with pytest.raises(BrokerHeldError, match="process 1234 runs its own broker"):
        open_embedded(tmp_path, port=None, detach=False)


def test_open_embedded_when_it_runs_on_another_port_then_both_ports_are_named(
    tmp_path: Path, running: BrokerState
) -> None:
    """A wish for a port is not silently ignored."""
    assert running.port == 29092
    with pytest.raises(BrokerHeldError, match="runs on port 29092, asked for was 30000"):
        open_embedded(tmp_path, port=30000, detach=True)


@pytest.mark.parametrize("detach", [True, False])
def test_open_embedded_when_a_detached_broker_runs_then_only_the_stack_owns_it(
    tmp_path: Path, running: BrokerState, monkeypatch: pytest.MonkeyPatch, *, detach: bool
) -> None:
    """A guest of a running stack leaves it running; the stack's own commands may stop it."""
    monkeypatch.setattr(embedded, "answers", lambda _address: True)
    broker = open_embedded(tmp_path, port=None, detach=detach)
    assert (broker.bootstrap_servers, broker.ours) == ("127.0.0.1:29092", detach)
    assert broker.state == running


def test_stop_when_the_broker_is_not_ours_then_it_goes_on(
    tmp_path: Path, running: BrokerState
) -> None:
    """The process behind it (here: this one) is not ended."""
    EmbeddedBroker(tmp_path, running, ours=False, why="a guest").stop()
    assert read_state(tmp_path) == running


def test_open_embedded_when_the_lock_is_held_without_a_state_then_the_wait_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message tells how to find the holder."""
    monkeypatch.setattr(embedded, "_HANDOVER_S", 0.1)
    with (
        FileLock.take(tmp_path / "broker.lock"),
        pytest.raises(BrokerHeldError, match="fuser"),
    ):
        open_embedded(tmp_path, port=None, detach=False)


def test_find_embedded_when_the_pid_was_reused_then_there_is_no_broker(
    tmp_path: Path, running: BrokerState
) -> None:
    """A state file of before a reboot names a stranger."""
    write_state(tmp_path, replace(running, birth="earlier-boot/77"))
    assert find_embedded(tmp_path) is None


def test_check_when_the_broker_has_ended_then_the_error_ends_with_its_log(
    tmp_path: Path, running: BrokerState
) -> None:
    """The last line that the broker wrote is the first that its operator wants."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "broker.log").write_text("old\n" * 100 + "FATAL disk is full\n")
    broker = EmbeddedBroker(tmp_path, replace(running, birth="gone"), ours=True, why="")
    with pytest.raises(BrokerFailedError, match=r"FATAL disk is full$") as caught:
        broker.check()
    assert str(caught.value).count("\n") == 20
