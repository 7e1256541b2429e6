"""The broker as a part of a stack."""

import os
from pathlib import Path

import pytest

from agents.cli import parts
from agents.cli.parts import BrokerPart, PartState
from agents.cli.role_part import RolePart
from streams.brokers.given import GivenBroker
from streams.brokers.processes import birth_of
from streams.brokers.state import BrokerState, write_state
from streams.errors import BrokerHeldError


def _write_own_state(home: Path, *, detached: bool) -> None:
    """Let this process look like the broker of the home, started at the epoch."""
    write_state(
        home,
        BrokerState(
            pid=os.getpid(),
            birth=birth_of(os.getpid()) or "",
            port=29092,
            controller_port=29093,
            version="4.1.2",
            detached=detached,
            owner_pid=1234,
            created_ns=0,
        ),
    )


@pytest.fixture(autouse=True)
def _no_given_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at a machine on which nobody named a broker."""
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


def test_state_when_nothing_runs_then_it_says_how_to_start(tmp_path: Path) -> None:
    """Asking changes nothing: no folder is made."""
    state = BrokerPart(tmp_path / "home").state()
    assert state == PartState(
        "broker", "embedded", running=False, why="start it with `tradewind up`"
    )
    assert not (tmp_path / "home").exists()


def test_state_when_the_broker_runs_then_its_size_and_age_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uptime is counted from the start that the state file names."""
    _write_own_state(tmp_path, detached=True)
    monkeypatch.setattr(parts, "wall_ns", lambda: 75_250_000_000)
    state = BrokerPart(tmp_path).state()
    assert (state.address, state.pid, state.uptime_s) == ("127.0.0.1:29092", os.getpid(), 75.2)
    assert state.memory_mb is not None
    assert state.memory_mb > 1.0


def test_state_when_a_broker_is_given_then_its_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A given broker has an address and no process of ours."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setattr(GivenBroker, "alive", lambda _self: True)
    state = BrokerPart(tmp_path).state()
    assert (state.provider, state.running, state.address, state.pid) == (
        "given",
        True,
        "kafka:9092",
        None,
    )


def test_start_when_a_broker_is_given_then_none_of_ours_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of a start is that of the given broker."""
    given = GivenBroker("kafka:9092")
    monkeypatch.setattr(parts, "open_broker", lambda *_args, **_named: given)
    assert BrokerPart(tmp_path).start() == PartState(
        "broker", "given", running=True, why=given.why, address="kafka:9092"
    )


def test_stop_when_nothing_runs_then_there_is_nothing_to_say(tmp_path: Path) -> None:
    """No broker, no error."""
    assert BrokerPart(tmp_path).stop() is None


def test_stop_when_a_program_runs_the_broker_for_itself_then_it_is_refused(
    tmp_path: Path,
) -> None:
    """`down` does not take a running program's broker away."""
    _write_own_state(tmp_path, detached=False)
    with pytest.raises(BrokerHeldError, match="belongs to the running process 1234"):
        BrokerPart(tmp_path).stop()


@pytest.mark.parametrize("answers", [True, False])
def test_state_when_a_demo_runs_the_store_then_it_is_up_where_it_answers(
    tmp_path: Path,
    answers: bool,  # noqa: FBT001  a case
) -> None:
    """It is no process of `up`; what answers at the stack's own socket is up all the same."""
    part = RolePart("redis", tmp_path, ("redis",), address="unix:///s", listens=lambda: answers)
    state = part.state()
    assert (state.running, state.address) == (answers, "unix:///s" if answers else None)
    assert ("in the foreground" in state.why) == answers
    assert ("tradewind up" in state.why) != answers
