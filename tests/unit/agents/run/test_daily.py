"""When a stack's work by the clock is started: checkpoints, retention of runs, the shelf."""

from pathlib import Path
from typing import Any

import pytest

from agents.run import daily
from agents.run.daily import CHECK_NS, CHECKPOINT_NS, DAY_NS, RETRY_NS, Daily
from agents.run.kept_role import KeptRole, Started
from streams.brokers.processes import Launch
from streams.errors import BrokerError
from tables.stores.daily_marks import CHECKPOINT, RETENTION, RUN_CHECK, SHELF, mark_done

NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


_KINDS = {
    "shelve": SHELF,
    "retain": RETENTION,
    "checkpoint": CHECKPOINT,
    "verify-run": RUN_CHECK,
}


class Played:
    """A day's clock, and what was started by it; whatever is started says that it was done."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = NOON_NS
        self.started: list[Launch] = []
        self.runs = self.fails = False
        self.home = home
        monkeypatch.setattr(daily.mlflow, "is_usable", lambda _home: True)
        monkeypatch.setattr(daily.postgres, "is_usable", lambda _home: True)
        monkeypatch.setattr(daily, "start", self._start)
        self.daily = self.anew()

    def anew(self) -> Daily:
        """Return what a keeper that starts again has."""
        self.daily = Daily(self.home, lambda: self.now_ns)
        return self.daily

    def look(self, after_ns: int = 0) -> tuple[int, int]:
        """Look after a while; return how often each was started so far: retention, shelf."""
        self.now_ns += after_ns
        self.daily.look()
        return self.n_started("retain"), self.n_started("shelve")

    def live(self) -> None:
        """Have a worker started."""
        role = KeptRole(self.home, "worker")
        role.file.parent.mkdir()
        role.keep(Started(1, "gone", ("agents", "worker")))

    def n_started(self, word: str) -> int:
        """Return how often a command was started."""
        return sum(word in launch.command for launch in self.started)

    def _start(self, launch: Launch) -> Any:  # noqa: ANN401  a process
        self.started.append(launch)
        if not self.runs and not self.fails:
            (kind,) = (kind for word, kind in _KINDS.items() if word in launch.command)
            mark_done(self.home, kind, self.now_ns)
        return self

    def alive(self) -> bool:
        """Return whether the process that was started runs."""
        return self.runs


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Give a stack that has never been looked at."""
    return Played(tmp_path, monkeypatch)


def test_look_when_days_go_by_then_starts_each_once_a_day(played: Played) -> None:
    """A new stack waits a day; a look more starts nothing more."""
    assert played.look() == (0, 0)
    assert played.look(DAY_NS - 1) == (0, 0)
    assert played.look(1) == (1, 1)
    assert played.look() == (1, 1)
    assert played.look(DAY_NS - 1) == (1, 1)
    assert played.look(1) == (2, 2)
    retain, shelve = played.started[:2]
    name = f"--name={played.home.name}"
    assert retain.command[-5:] == ("-m", "agents", "mlflow", "retain", name)
    assert shelve.command[-5:] == ("-m", "agents", "audit", "shelve", name)
    assert (retain.output.name, shelve.output.name) == ("retention.log", "shelf.log")
    assert "nice" in retain.command[0]


def test_look_when_hours_go_by_then_a_checkpoint_is_made_every_four(played: Played) -> None:
    """Ticks are kept for a day; what is folded again is never more than four hours."""
    played.live()
    played.look()
    for n in range(1, 7):
        played.look(CHECKPOINT_NS)
        assert played.n_started("checkpoint") == n
    assert (played.n_started("retain"), played.n_started("shelve")) == (1, 1)
    assert CHECKPOINT_NS == 4 * RETRY_NS == DAY_NS // 6


def test_look_when_the_keeper_starts_again_then_no_day_is_skipped_or_repeated(
    played: Played,
) -> None:
    """The time is in the stack's folder, not in the process; missed days are made up for once."""
    played.look()
    played.anew()
    assert played.look(DAY_NS) == (1, 1)
    played.anew()
    assert played.look() == (1, 1)
    played.anew()
    assert played.look(3 * DAY_NS) == (2, 2)


def test_look_when_a_timer_of_the_machine_did_it_then_does_not_do_it_again(
    played: Played,
) -> None:
    """The command itself says when it was done, whoever started it."""
    played.look()
    mark_done(played.home, SHELF, NOON_NS + DAY_NS // 2)
    assert played.look(DAY_NS) == (1, 0)
    assert played.look(DAY_NS // 2) == (1, 1)


def test_look_when_it_failed_then_tries_again_every_hour(played: Played) -> None:
    """A database that is away at the time does not cost the day; nothing is tried at each look."""
    played.look()
    played.fails = True
    assert played.look(DAY_NS) == (1, 1)
    assert played.look(RETRY_NS - 1) == (1, 1)
    assert played.look(1) == (2, 2)
    played.fails = False
    assert played.look(RETRY_NS) == (3, 3)
    assert played.look(RETRY_NS) == (3, 3)


def test_look_when_the_last_one_still_runs_then_waits_for_it(played: Played) -> None:
    """Two at once would only find each other's lock."""
    played.look()
    played.runs = True
    played.look(DAY_NS)
    assert played.look(DAY_NS) == (1, 1)
    played.runs = False
    assert played.look(RETRY_NS) == (2, 2)


def test_look_when_the_mark_is_damaged_then_begins_a_day_anew(played: Played) -> None:
    """A torn file neither ends the keeper nor deletes early."""
    (played.home / RETENTION).write_text("x")
    assert played.look() == (0, 0)
    assert played.look(DAY_NS) == (1, 1)


def test_look_when_there_is_no_mlflow_then_starts_the_other_alone(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain runs without a registry."""
    monkeypatch.setattr(daily.mlflow, "is_usable", lambda _home: False)
    played.look()
    assert played.look(DAY_NS) == (0, 1)


def test_look_when_it_cannot_be_started_then_the_keeper_goes_on(
    played: Played, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Roles are kept whatever happens to the registry and the shelf."""

    def refuse(_launch: Launch) -> None:
        raise BrokerError("no more processes")

    monkeypatch.setattr(daily, "start", refuse)
    played.look()
    assert played.look(DAY_NS) == (0, 0)
    for words in ("mlflow retain", "audit shelve"):
        assert f"{words} could not be started; tried again in an hour" in caplog.text


def test_look_when_the_stack_is_live_then_verifies_it_every_four_hours(played: Played) -> None:
    """Slices are on their topics for six hours; a stack without a worker has said nothing."""
    played.look()
    assert played.look(CHECK_NS) == (0, 0)
    played.live()
    played.look(RETRY_NS)
    assert played.n_started("verify-run") == 1
    played.look(CHECK_NS - 1)
    assert played.n_started("verify-run") == 1
    played.look(1)
    assert played.n_started("verify-run") == 2
    assert len(played.started) == 2 * played.n_started("checkpoint")
    check = played.started[-1]
    assert check.command[-2:] == ("verify-run", f"--name={played.home.name}")
    assert check.output.name == "run-check.log"
