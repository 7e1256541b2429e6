"""When the keeper starts a role again, when it gives one up, and how it bounds a log."""

import signal
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from agents.run import keeper
from agents.run.keeper import PAUSES_S, STEADY_S, Keeper, bound
from agents.run.kept_role import KeptRole, Started

POLL_S = 0.5


class Played:
    """A role that is gone at every look, and the clock of its keeper."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, name: str = "worker") -> None:
        self.now_s = 1_000.0
        self.launched_s: list[float] = []
        self.role = KeptRole(home, name)
        self.role.file.parent.mkdir(parents=True)
        self.role.keep(Started(1, "gone", ("agents", "worker")))

        def launch(role: KeptRole, arguments: tuple[str, ...], *, restarts: int) -> None:
            self.launched_s.append(self.now_s)
            role.keep(Started(1, "gone", arguments, restarts))

        monkeypatch.setattr(keeper.KeptRole, "launch", launch)
        self.keeper = Keeper(home, lambda: self.now_s)

    def look(self, for_s: float) -> None:
        """Look as often as the keeper does, for a while."""
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.keeper.look()
            self.now_s += POLL_S


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Give a role that never lasts."""
    return Played(tmp_path, monkeypatch)


def test_look_when_a_role_never_lasts_then_pauses_grow_and_it_is_given_up(played: Played) -> None:
    """Each death is seen one look after the start; after the last pause a person is asked."""
    played.look(1_000.0)
    seen_s = accumulate(pause + POLL_S for pause in PAUSES_S)
    assert played.launched_s == [1_000.0 + s - POLL_S for s in seen_s]
    known = played.role.started()
    assert known is not None
    assert (known.restarts, known.gave_up) == (len(PAUSES_S), True)
    assert known.arguments == ("agents", "worker")


def test_look_when_the_broker_is_away_then_no_role_is_given_up(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of hours is no fault of a role: the last pause goes on until the broker answers."""
    monkeypatch.setattr(Keeper, "_broker_answers", lambda _keeper: False)
    played.look(3_600.0)
    known = played.role.started()
    assert known is not None
    assert not known.gave_up
    rests = [b - a for a, b in pairwise(played.launched_s[len(PAUSES_S) :])]
    assert len(rests) > 50
    assert set(rests) == {PAUSES_S[-1] + POLL_S}


def test_look_when_the_database_was_away_then_the_ends_of_that_time_are_not_counted(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role without its store ends as it should; when it is back, all its tries are left."""
    home = played.role.home
    database = KeptRole(home, "postgres")
    database.keep(Started(1, "gone", ("agents", "postgres")))
    monkeypatch.setattr(Keeper, "_broker_answers", lambda _keeper: True)

    def of_role(role: KeptRole) -> Any:  # noqa: ANN401  a process
        return None if role.name == "worker" else role

    monkeypatch.setattr(keeper.KeptRole, "process", of_role)
    played.look(3_600.0)
    n_away = len(played.launched_s)
    known = played.role.started()
    assert known is not None
    assert not known.gave_up
    assert n_away > 50
    database.forget()  # from now on the stack has no database, hence none that is away
    played.look(3_600.0)
    known = played.role.started()
    assert known is not None
    assert known.gave_up
    # One end was seen before, and its start comes after.
    assert len(played.launched_s) - n_away in {len(PAUSES_S), len(PAUSES_S) + 1}


def test_look_when_the_database_never_lasts_then_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for nobody: that it does not answer is no excuse of its own."""
    played = Played(tmp_path, monkeypatch, "postgres")
    played.look(1_000.0)
    known = played.role.started()
    assert known is not None
    assert known.gave_up


def test_look_when_a_role_lasted_then_it_is_started_at_once_again(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death a day is no reason to give up."""
    alive: list[Any] = []
    monkeypatch.setattr(keeper.KeptRole, "process", lambda _role: alive or None)
    for _ in range(len(PAUSES_S) + 5):
        alive.clear()
        played.look(POLL_S)
        alive.append(1)
        played.look(STEADY_S + 1.0)
    assert len(played.launched_s) == len(PAUSES_S) + 5


def test_look_when_a_role_was_stopped_then_it_stays_stopped(played: Played) -> None:
    """`tradewind down` forgets a role, and so does the keeper."""
    played.role.forget()
    played.look(10.0)
    assert played.launched_s == []


def test_look_when_a_role_cannot_be_started_then_it_is_tried_again(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk for a moment does not end the keeper."""

    def refuse(*_: object, **__: object) -> None:
        played.launched_s.append(played.now_s)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keeper.KeptRole, "launch", refuse)
    played.look(4.5)
    assert len(played.launched_s) == 3


def test_bound_when_a_log_is_too_long_then_its_writer_goes_on_in_an_empty_one(
    tmp_path: Path,
) -> None:
    """What was written is kept next to it once, and nothing of a line is lost or torn."""
    log = tmp_path / "worker.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first\n")
        bound(log, limit_bytes=6)
        assert log.read_bytes() == b"first\n"
        writer.write(b"last words\n")
        bound(log, limit_bytes=6)
        writer.write(b"next\n")
    assert log.read_bytes() == b"next\n"
    assert (tmp_path / "worker.log.1").read_bytes() == b"first\nlast words\n"
    assert {file.name for file in tmp_path.iterdir()} == {"worker.log", "worker.log.1"}


def test_bound_when_there_is_no_log_then_does_nothing(tmp_path: Path) -> None:
    """A role that has not said anything has no log."""
    bound(tmp_path / "worker.log")


def test_main_when_a_keeper_runs_then_a_second_is_refused(tmp_path: Path) -> None:
    """Two would start each role twice."""
    lock = keeper.FileLock.take(tmp_path / "keeper.lock")
    before = signal.getsignal(signal.SIGTERM)
    with lock:
        assert keeper.main(tmp_path) == 1
    assert signal.getsignal(signal.SIGTERM) is before
