"""The state file by which a detached broker is found again."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from streams.brokers.processes import birth_of
from streams.brokers.state import BrokerState, mark_stopped, read_state, write_state
from streams.errors import BrokerHeldError

STATE = BrokerState(
    pid=4321,
    birth="boot/77",
    port=29092,
    controller_port=29093,
    version="4.1.2",
    detached=True,
    owner_pid=4000,
    created_ns=1_700_000_000_000_000_000,
)


def test_read_state_when_one_was_written_then_it_comes_back(tmp_path: Path) -> None:
    """Every field survives the file."""
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE


def test_read_state_when_there_is_none_then_it_is_none(tmp_path: Path) -> None:
    """A new home has no broker."""
    assert read_state(tmp_path) is None


def test_write_state_when_interrupted_before_the_rename_then_the_old_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader never sees half a file."""
    write_state(tmp_path, STATE)

    def fail(_path: Path, _target: Path) -> Path:
        raise OSError("power cut")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="power cut"):
        write_state(tmp_path, replace(STATE, pid=1))
    assert read_state(tmp_path) == STATE


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', "[1]", '{"surplus": 1}'])
def test_read_state_when_the_file_is_damaged_then_the_error_names_it(
    tmp_path: Path, text: str
) -> None:
    """A damaged file is not taken for an absent broker."""
    (tmp_path / "broker.json").write_text(text)
    with pytest.raises(BrokerHeldError, match=r"broker\.json is not a state file"):
        read_state(tmp_path)


def test_mark_stopped_when_a_later_broker_wrote_its_state_then_that_one_stays(
    tmp_path: Path,
) -> None:
    """A late stop of the earlier broker cannot hide the present one."""
    later = replace(STATE, pid=5000)
    write_state(tmp_path, later)
    mark_stopped(tmp_path, STATE)
    assert read_state(tmp_path) == later


def test_mark_stopped_when_it_is_the_present_one_then_the_ports_are_kept(tmp_path: Path) -> None:
    """The next start can use the same address."""
    write_state(tmp_path, STATE)
    mark_stopped(tmp_path, STATE)
    assert read_state(tmp_path) == replace(STATE, stopped=True)


def test_process_when_the_pid_was_given_to_another_then_it_is_not_alive() -> None:
    """A process with our pid but another birth is a stranger."""
    birth = birth_of(os.getpid())
    assert birth is not None
    assert replace(STATE, pid=os.getpid(), birth=birth).process.alive()
    assert not replace(STATE, pid=os.getpid(), birth="boot/77").process.alive()


def test_write_state_when_written_then_nothing_but_the_state_is_left(tmp_path: Path) -> None:
    """The draft is gone, and the file is a regular one."""
    write_state(tmp_path, STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["broker.json"]
    assert stat.S_ISREG((tmp_path / "broker.json").stat().st_mode)
