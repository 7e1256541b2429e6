"""When the daily retention of a stack is started."""

from pathlib import Path
from typing import Any

import pytest

from agents.run import daily
from agents.run.daily import DAY_NS, STAMP, Daily
from streams.brokers.processes import Launch
from streams.errors import BrokerError

NOON_NS = 20_000 * DAY_NS + DAY_NS // 2


class Played:
    """A day's clock, and what was started by it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = NOON_NS
        self.started: list[Launch] = []
        self.runs = False
        self.home = home
        monkeypatch.setattr(daily.mlflow, "is_usable", lambda _home: True)
        monkeypatch.setattr(daily, "start", self._start)
        self.daily = self.anew()

    def anew(self) -> Daily:
        """Return what a keeper that starts again has."""
        self.daily = Daily(self.home, lambda: self.now_ns)
        return self.daily

    def look(self, after_ns: int = 0) -> int:
        """Look after a while; return how often something was started so far."""
        self.now_ns += after_ns
        self.daily.look()
        return len(self.started)

    def _start(self, launch: Launch) -> Any:  # noqa: ANN401  a process
        self.started.append(launch)
        return self

    def alive(self) -> bool:
        """Return whether the process that was started runs."""
        return self.runs


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Give a stack that has never been looked at."""
    return Played(tmp_path, monkeypatch)


def test_look_when_days_go_by_then_starts_once_a_day(played: Played) -> None:
    """A new stack waits a day; a look more starts nothing more."""
    assert played.look() == 0
    assert played.look(DAY_NS - 1) == 0
    assert played.look(1) == 1
    assert played.look() == 1
    assert played.look(DAY_NS - 1) == 1
    assert played.look(1) == 2
    command = played.started[0].command
    assert command[1:] == ("-m", "agents", "mlflow", "retain", f"--name={played.home.name}")
    assert played.started[0].output.name == "retention.log"


def test_look_when_the_keeper_starts_again_then_no_day_is_skipped_or_repeated(
    played: Played,
) -> None:
    """The time is in the stack's folder, not in the process."""
    played.look()
    played.anew()
    assert played.look(DAY_NS) == 1
    played.anew()
    assert played.look() == 1
    played.anew()
    assert played.look(3 * DAY_NS) == 2


def test_look_when_the_last_one_still_runs_then_waits_for_it(played: Played) -> None:
    """Two at once would only find each other's lock."""
    played.look()
    played.look(DAY_NS)
    played.runs = True
    assert played.look(DAY_NS) == 1
    played.runs = False
    assert played.look() == 2


def test_look_when_the_stamp_is_damaged_then_begins_a_day_anew(played: Played) -> None:
    """A torn file neither ends the keeper nor deletes early."""
    (played.home / STAMP).write_text("x")
    assert played.look() == 0
    assert played.look(DAY_NS) == 1


def test_look_when_there_is_no_mlflow_then_starts_nothing(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain runs without a registry."""
    monkeypatch.setattr(daily.mlflow, "is_usable", lambda _home: False)
    played.look()
    assert played.look(DAY_NS) == 0


def test_look_when_it_cannot_be_started_then_the_keeper_goes_on(
    played: Played, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Roles are kept whatever happens to the registry."""

    def refuse(_launch: Launch) -> None:
        raise BrokerError("no more processes")

    monkeypatch.setattr(daily, "start", refuse)
    played.look()
    assert played.look(DAY_NS) == 0
    assert "tried again tomorrow" in caplog.text
