"""The command that lets the champion learn: what it does with the verdict, what it writes down."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agents.cli import learn as command
from agents.run import registration
from models.learning.settings import MODES
from models.prepared import Prepared
from streams.clock import wall_ns
from tables.stores.admin_log import AdminLog
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import Stretch
from tables.stores.jobs import Job, Jobs
from tests.learning_worlds import SHORT, fitted, prepared


class Registry:
    """A registry that remembers aliases, and what was registered without one."""

    def __init__(self) -> None:
        self.aliases: dict[str | None, str] = {}


class Drawn:
    """Bars that are drawn."""

    def __init__(self, bars: Prepared) -> None:
        self.bars = bars

    def stretch(self, _settings: Any) -> Stretch:  # noqa: ANN401  not looked at
        """Return all bars."""
        return Stretch(self.bars, {"kind": "drawn"})

    def of_base(self, _metadata: Mapping[str, Any]) -> Prepared:
        """Return the bars of the fit."""
        return prepared()


class Place:
    """A stack whose registry and bars are in this process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.artifacts = Artifacts(home / "artifacts")
        self.registry = Registry()
        self.registry.aliases["champion"] = self.artifacts.put_models(fitted())
        self.jobs = Jobs(home / "learning" / "jobs")
        self.bars = prepared(first_day=1_100, seed=6)

    def run(self, *arguments: str) -> Any:  # noqa: ANN401  typer's result
        """Run the command."""
        app = typer.Typer(pretty_exceptions_enable=False)
        command.register(app)
        return CliRunner().invoke(app, [f"--name={self.home.name}", *arguments])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Give a stack with a champion, in place of the registry and the days of bars."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    made = Place(tmp_path / "s")

    def register(
        registry: Registry,
        _artifacts: Artifacts,
        digest: str,
        alias: str | None = "champion",
        *_: object,
    ) -> None:
        registry.aliases[alias] = digest

    monkeypatch.setattr(registration, "register", register)
    monkeypatch.setattr(
        command.registry_of, "champion", lambda *_: made.registry.aliases["champion"]
    )
    monkeypatch.setattr(command, "_registry", lambda *_: made.registry)
    monkeypatch.setattr(command, "_source", lambda *_: Drawn(made.bars))
    monkeypatch.setattr(command, "_children", lambda _home: nullcontext())
    monkeypatch.setitem(MODES, "recommended", SHORT)
    return made


def asked(place: Place, trigger: Any = "request") -> str:  # noqa: ANN401  a literal
    """Put a job that waits, and return its option."""
    job = Job(job_id="j1", trigger=trigger, requested_ns=wall_ns(), mode="recommended")
    place.jobs.put(job)
    return "--job=j1"


def test_learn_when_the_candidate_does_no_harm_then_it_becomes_champion(place: Place) -> None:
    """The alias moves, the job is done, and the event says from what to what."""
    before = place.registry.aliases["champion"]
    result = place.run(asked(place), "--window-days=30", "--gate-days=20")
    assert result.exit_code == 0, result.output
    job = place.jobs.find("j1")
    assert job is not None
    (update,) = job.updates
    assert update.before == before
    if update.outcome == "promoted":
        assert place.registry.aliases == {"champion": update.after}
    else:
        assert place.registry.aliases == {"champion": before, None: update.after}
    assert update.stability_check is not None
    assert (update.outcome == "promoted") == update.stability_check.passed
    assert (job.state, job.share) == ("done", 1.0)
    (act,) = AdminLog(place.home).acts()
    assert (act.deed.what, act.deed.on, act.deed.reason) == (
        "learn",
        "job j1, mode recommended",
        "request",
    )
    assert (act.result, act.detail) == ("done", f"online_update {update.outcome}: {update.after}")


@pytest.mark.parametrize(
    ("trigger", "state", "code"), [("daily", "done", 0), ("request", "failed", 1)]
)
def test_learn_when_days_are_few_then_a_daily_update_waits(
    place: Place, trigger: str, state: str, code: int
) -> None:
    """A new stack has no window yet: only who asked for an update is told that there is none."""
    place.bars = prepared(n_bars=20)
    result = place.run(asked(place, trigger))
    job = place.jobs.find("j1")
    assert job is not None
    assert (result.exit_code, job.state) == (code, state)
    assert "days are missing" in job.detail
    (act,) = AdminLog(place.home).acts()
    assert (act.result, act.detail) == ("done" if code == 0 else "failed", job.detail)
    assert job.updates == []


def test_learn_when_an_error_ends_it_then_the_job_failed_with_its_words(place: Place) -> None:
    """What went wrong is in the job, and nothing in the registry has changed."""
    place.registry.aliases["champion"] = place.artifacts.put_models(fitted(symbols=["AAA"]))
    before = dict(place.registry.aliases)
    assert place.run(asked(place), "--window-days=30", "--gate-days=20").exit_code == 1
    job = place.jobs.find("j1")
    assert job is not None
    assert job.state == "failed"
    assert "was not fitted on BBB" in job.detail
    assert place.registry.aliases == before


@pytest.mark.parametrize(("setting", "days"), [("", 60), ("45", 45)])
def test_learn_when_no_window_is_given_then_takes_the_setting(
    place: Place, monkeypatch: pytest.MonkeyPatch, setting: str, days: int
) -> None:
    """A job of the role says nothing about days: the stack's settings do."""
    if setting:
        monkeypatch.setenv("TRADEWIND_LEARNING_WINDOW_DAYS", setting)
    place.bars = prepared(n_bars=20)
    place.run(asked(place, "daily"))
    job = place.jobs.find("j1")
    assert job is not None
    assert job.detail.startswith(f"{days} days to learn from and 30 to be judged on")


@pytest.mark.parametrize("wrong", ["--mode=fast", "--window-days=20", "--job=none"])
def test_learn_when_an_option_cannot_be_then_is_refused(place: Place, wrong: str) -> None:
    """Before anything is started."""
    assert place.run(wrong).exit_code == 1
    assert place.jobs.all() == []
