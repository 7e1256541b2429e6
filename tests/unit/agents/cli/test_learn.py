"""The command that lets the champion learn: what it does with the verdict, what it writes down."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agents.cli import learn as command
from agents.cli import learn_deeds
from agents.run import registration
from agents.run.learn import Judged, Learner
from models.learning.settings import MODES
from models.learning.stability import Stability
from models.prepared import Prepared
from streams.clock import wall_ns
from tables.stores.admin_log import AdminLog
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import Stretch
from tables.stores.errors import StoreUnavailable
from tables.stores.jobs import Job, Jobs
from tables.stores.model_registry import Version
from tests.learning_worlds import SHORT, fitted, prepared


class Registry:
    """A registry that remembers aliases, and what was registered without one."""

    def __init__(self) -> None:
        self.aliases: dict[str | None, str] = {}
        self.known: list[str] = []
        self.is_away = False

    def register(self, digest: str, alias: str | None) -> None:
        """Remember a version and its alias."""
        if self.is_away:
            raise StoreUnavailable("MLflow did not do it")
        self.known.append(digest)
        self.aliases[alias] = digest

    def versions(self, name: str) -> list[Version]:
        """Return all versions."""
        return [
            Version(
                name, at, digest, "", tuple(a for a, d in self.aliases.items() if a and d == digest)
            )
            for at, digest in enumerate(self.known)
        ]

    def called(self, name: str, alias: str) -> Version | None:
        """Return the version with an alias."""
        digest = self.aliases.get(alias)
        return None if digest is None else Version(name, 1, digest, "", (alias,))

    def fetch(self, version: Version) -> str:
        """Have every file at hand."""
        return version.digest

    def release(self, _name: str, alias: str) -> None:
        """Forget an alias."""
        self.aliases.pop(alias, None)


class Drawn:
    """Bars that are drawn."""

    def __init__(self, bars: Prepared) -> None:
        self.bars = bars

    def stretch(self, _settings: Any, _fitted: Any) -> Stretch:  # noqa: ANN401  not looked at
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
        registry.register(digest, alias)

    monkeypatch.setattr(registration, "register", register)
    monkeypatch.setattr(command.registry_of, "named", lambda *_: made.registry.aliases["champion"])
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


def test_learn_when_the_candidate_does_no_harm_then_it_is_called_so(place: Place) -> None:
    """The champion stays what it is: only a rollout or a person makes another one."""
    before = place.registry.aliases["champion"]
    result = place.run(asked(place), "--window-days=30", "--gate-days=20")
    assert result.exit_code == 0, result.output
    job = place.jobs.find("j1")
    assert job is not None
    (update,) = job.updates
    assert update.before == before
    name = "candidate" if update.outcome == "promoted" else None
    assert place.registry.aliases == {"champion": before, name: update.after}
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
    assert [each.outcome for each in job.updates] == ([] if code == 0 else ["failed"])
    (act,) = AdminLog(place.home).acts()
    assert act.result == ("done" if code == 0 else "failed")
    assert job.detail in act.detail


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


class Verdicts:
    """What the gate says of each set, in place of an update that takes its time."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.fallen: dict[str, str] = {}
        self.passes = True
        self.said = ""
        self.started: list[tuple[str, str]] = []
        monkeypatch.setattr(Learner, "step_back", lambda _, digest, *_rest: self.held(digest))
        monkeypatch.setattr(Learner, "held", lambda _, digest, *_rest: self.held(digest))
        monkeypatch.setattr(Learner, "advance", lambda _, *asked: self.advance(*asked[:2]))

    def held(self, digest: str) -> Judged | None:
        """Let a set stand, or name what is before it."""
        before = self.fallen.get(digest)
        return None if before is None else Judged(before, judged(passes=False), None)

    def advance(self, start: str, champion: str) -> Judged:
        """Make a set that says from what it learned."""
        self.started.append((start, champion))
        return Judged(self.learned(start, "made"), judged(passes=self.passes), None)

    def learned(self, start: str, code: str = "drawn") -> str:
        """Keep a set that learned from another one."""
        return self.place.artifacts.put_models(fitted(learned={"start": start, "code": code}))

    def run(self, job_id: str = "j1") -> Job:
        """Run a job, and return what became of it."""
        known = self.place.jobs.find(job_id)
        if known is None:
            self.place.jobs.put(Job(job_id=job_id, trigger="request", requested_ns=wall_ns()))
        done = self.place.run(f"--job={job_id}", "--window-days=30", "--gate-days=20")
        self.said = done.output
        job = self.place.jobs.find(job_id)
        assert job is not None
        return job


def judged(*, passes: bool) -> Stability:
    """Give what the gate found."""
    return Stability(() if passes else ("LOSS_WORSE",), 20, *(0.5,) * 9)


@pytest.fixture
def verdicts(place: Place, monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """Give a stack whose gate says what the test wants."""
    return Verdicts(place, monkeypatch)


def deeds(job: Job) -> list[tuple[str, str, str]]:
    """List what a job's events tell: what came of which set, and what is instead."""
    return [(each.outcome, each.before, each.after) for each in job.updates]


def test_learn_when_there_is_a_candidate_then_goes_on_from_it(verdicts: Verdicts) -> None:
    """Each day adds to the days before; what is refused leaves the candidate that there is."""
    aliases = verdicts.place.registry.aliases
    first = aliases["champion"]
    verdicts.run("j1")
    second = aliases["candidate"]
    verdicts.passes = False
    refused = verdicts.run("j2")
    assert verdicts.started == [(first, first), (second, first)]
    assert deeds(refused) == [("refused", second, verdicts.learned(second, "made"))]
    assert (aliases["champion"], aliases["candidate"]) == (first, second)


def test_learn_when_the_candidate_falls_then_begins_again_with_the_champion(
    verdicts: Verdicts,
) -> None:
    """A poisoned day is out within one update, and the event says what goes."""
    aliases = verdicts.place.registry.aliases
    champion = aliases["champion"]
    poisoned = aliases["candidate"] = verdicts.learned(champion)
    verdicts.fallen[poisoned] = champion
    verdicts.passes = False
    job = verdicts.run()
    assert deeds(job)[0] == ("rolled_back", poisoned, champion)
    assert job.updates[0].update_type == "rollback"
    assert verdicts.started == [(champion, champion)]
    assert "candidate" not in aliases


def test_learn_when_the_champion_falls_then_so_does_what_learned_from_it(
    verdicts: Verdicts,
) -> None:
    """The one before is champion again, and no descendant of the other one is gone on from."""
    aliases = verdicts.place.registry.aliases
    before = aliases["champion"]
    harmful = aliases["champion"] = verdicts.learned(before)
    aliases["candidate"] = verdicts.learned(harmful)
    verdicts.fallen[harmful] = before
    verdicts.passes = False
    assert deeds(verdicts.run())[0] == ("rolled_back", harmful, before)
    assert aliases["champion"] == before
    assert "candidate" not in aliases
    assert verdicts.started == [(before, before)]


@pytest.mark.parametrize("why", ["another line", "taken back"])
def test_learn_when_the_candidate_is_not_the_champion_s_then_it_loses_its_name(
    verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Somebody trained anew, or a rollout took it back: it is no start."""
    aliases = verdicts.place.registry.aliases
    champion = aliases["champion"]
    aliases["candidate"] = verdicts.learned("f" * 64 if why == "another line" else champion)
    if why == "taken back":
        monkeypatch.setattr(learn_deeds, "fallen_in", lambda _home, digest: digest)
    verdicts.passes = False
    verdicts.run()
    assert verdicts.started == [(champion, champion)]
    assert "candidate" not in aliases


def test_learn_when_it_fails_half_way_then_what_was_done_is_told_and_what_was_not_is_not(
    verdicts: Verdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion went back before the registry went away; the update itself failed."""
    aliases = verdicts.place.registry.aliases
    before = aliases["champion"]
    harmful = aliases["champion"] = verdicts.learned(before)
    verdicts.fallen[harmful] = before

    def away(*_: object) -> Judged:
        verdicts.place.registry.is_away = True
        return verdicts.advance(before, before)

    monkeypatch.setattr(Learner, "advance", away)
    job = verdicts.run()
    assert job.state == "failed"
    assert deeds(job) == [("rolled_back", harmful, before), ("failed", "", "")]
    assert "MLflow did not do it" in job.updates[-1].detail
    assert "rollback: rolled_back" in verdicts.said
    assert "tradewind up --models=champion" in verdicts.said


def test_learn_when_it_was_killed_behind_a_deed_then_nothing_is_done_or_told_twice(
    verdicts: Verdicts,
) -> None:
    """The job's file has the deeds: the one begun anew ends where the first one would have."""
    aliases = verdicts.place.registry.aliases
    before = aliases["champion"]
    harmful = aliases["champion"] = verdicts.learned(before)
    verdicts.fallen[harmful] = before
    job = verdicts.run()
    told = deeds(job)
    assert [outcome for outcome, *_ in told] == ["rolled_back", "promoted"]
    # Killed behind its last deed, with nothing left to do.
    job.state = "queued"
    verdicts.place.jobs.put(job)
    assert deeds(verdicts.run()) == told
    assert len(verdicts.started) == 1
    # Killed between writing a deed down and doing it: it is done now, and told once.
    verdicts.place.registry.release("", "candidate")
    job.state = "queued"
    verdicts.place.jobs.put(job)
    assert deeds(verdicts.run()) == told
    assert aliases["candidate"] == told[-1][-1]


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
