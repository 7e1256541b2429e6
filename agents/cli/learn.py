"""``tradewind learn``: the champion goes on learning from the last days, if that does no harm."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from agents.cli import models as registry_of
from agents.cli.admin_act import admin_act
from agents.cli.in_order import in_order
from agents.run import registration
from agents.run.learn import Judged, Learner, Told, event_of, gate_metrics, window_of
from agents.run.learning_bars import FileSource, JournalSource, Source
from agents.run.one_training import one_training
from agents.run.progress import Progress, shown
from agents.run.stores import database
from agents.run.workers import Children
from models.errors import HistoryTooShort
from models.learning.settings import MODES, Settings
from streams.brokers import stack_home, stack_id
from streams.clock import monotonic_s, random_id, wall_ns
from streams.errors import SettingsError
from streams.model_updates import ModelUpdate, Outcome
from streams.settings import Settings as StackSettings
from streams.sources.files import open_tape
from streams.timestamps import parse_ns
from tables.stores.artifacts import Artifacts
from tables.stores.bar_journal import BarJournal
from tables.stores.jobs import Job, Jobs
from tables.stores.model_registry import CHAMPION, ModelRegistry, model_name

# A job's file is written this often at most while it is under way.
_TELL_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(learn)


def learn(  # noqa: PLR0913  one parameter an option
    *,
    file: Annotated[
        Path | None, typer.Option("--file", help="CSV or Parquet; default: what ran live.")
    ] = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a bar.")] = None,
    until: Annotated[str | None, typer.Option(help="Last close of the file, RFC 3339.")] = None,
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "safe",
    window_days: Annotated[
        int | None, typer.Option(help="Days to learn from, 30 to 90; default: the setting.")
    ] = None,
    gate_days: Annotated[int, typer.Option(help="Days behind them that judge.")] = 30,
    job: Annotated[str, typer.Option(help="Id of a job that waits; default: a new one.")] = "",
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
) -> None:
    """Update the champion on the last days; it is replaced only if the update does no harm."""
    interrupted = "Interrupted: nothing was registered."
    with in_order(stderr=True, interrupted=interrupted) as console:
        home = stack_home(name)
        jobs = Jobs(home / "learning" / "jobs")
        asked = jobs.find(job) if job else None
        if job and asked is None:
            raise SettingsError(f"--job was {job!r}; expected a job of {jobs.root}")
        asked = asked or Job(
            job_id=random_id(), trigger="command", requested_ns=wall_ns(), mode=mode
        )
        settings = _settings(asked.mode, window_days, gate_days)
        deed = {"on": f"job {asked.job_id}, mode {asked.mode}", "reason": asked.trigger}
        with admin_act(home, "learn", **deed) as act:
            with _followed(jobs, asked), _children(home) as children, shown(console) as bars:
                progress = _telling(jobs, asked, bars)
                source = _source(home, file, timeframe, until, progress)
                registry = _registry(name, home, children)
                with one_training(home, progress):
                    _update(Learner(home, source, settings, progress), registry, asked, timeframe)
            act.detail = "; ".join(map(_came_of, asked.updates)) or asked.detail
    for update in asked.updates:
        _say(console, update)
        typer.echo(update.after)


def _settings(mode: str, window_days: int | None, gate_days: int) -> Settings:
    if mode not in MODES:
        raise SettingsError(f"--mode was {mode!r}; expected one of {', '.join(MODES)}")
    if window_days is None:
        window_days = StackSettings.read().learning_window_days
    how = MODES[mode].record() | {"window_days": window_days, "gate_days": gate_days}
    return Settings(**how)


def _source(
    home: Path, file: Path | None, timeframe: str | None, until: str | None, progress: Progress
) -> Source:
    if file is not None:
        tape = open_tape(file, timeframe=timeframe)
        tape.vet()
        return FileSource(tape, home, progress, None if until is None else parse_ns(until))
    return JournalSource(journal_of(home), home)


def journal_of(home: Path) -> BarJournal:
    """Return the days of bars that a stack has kept."""
    return BarJournal(home / "learning" / "bars")


def _registry(name: str, home: Path, children: Children) -> ModelRegistry:
    database(home, children)
    return registry_of.opened(name)


def _update(learner: Learner, registry: ModelRegistry, job: Job, timeframe: str | None) -> None:
    """Judge the champion, make its successor, and act on both verdicts."""
    home, artifacts = learner.home, learner.artifacts
    asked = CHAMPION if timeframe is None else f"{CHAMPION}:{timeframe}"
    champion = registry_of.champion(home.name, asked)
    model_id = model_name(artifacts.load_models(champion).metadata["timeframe"], stack_id(home))
    stretch = learner.source.stretch(learner.settings)
    told = Told(job.job_id, model_id, window_of(stretch, learner.settings), wall_ns())
    back = learner.step_back(champion, stretch)
    if back is not None:
        registration.register(registry, artifacts, back.digest)
        job.updates.append(event_of(told, "rollback", "rolled_back", champion, back))
        champion = back.digest
    judged = learner.advance(champion, stretch)
    outcome = _placed(registry, artifacts, judged)
    job.updates.append(event_of(told, "online_update", outcome, champion, judged))


def _placed(registry: ModelRegistry, artifacts: Artifacts, judged: Judged) -> Outcome:
    """Register a candidate with what the gate found; it is champion only if it passed."""
    alias = CHAMPION if judged.stability.passed else None
    registration.register(registry, artifacts, judged.digest, alias, gate_metrics(judged))
    return "promoted" if judged.stability.passed else "refused"


@contextmanager
def _followed(jobs: Jobs, job: Job) -> Iterator[None]:
    """Write down that a job is under way, and how it ended; one at a time in a stack."""
    with jobs.only_one():
        job.state, job.detail, job.updates = "running", "", []
        jobs.put(job)
        try:
            yield
        except HistoryTooShort as error:
            _too_short(jobs, job, error)
        except BaseException as error:
            job.state = "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"
            job.detail, job.updates = str(error) or type(error).__name__, []
            jobs.put(job)
            raise
        job.state, job.step, job.share = "done", "", 1.0
        jobs.put(job)


def _too_short(jobs: Jobs, job: Job, error: HistoryTooShort) -> None:
    """Let a daily update wait for more days; whoever asked for one is told that it failed."""
    job.detail = str(error)
    if job.trigger != "daily":
        job.state = "failed"
        jobs.put(job)
        raise error


def _telling(jobs: Jobs, job: Job, bars: Progress) -> Progress:
    """Show progress, and write it down now and then."""
    told_s = monotonic_s()

    def tell(step: str, share: float) -> None:
        nonlocal told_s
        bars(step, share)
        if step != job.step or monotonic_s() - told_s >= _TELL_EVERY_S:
            job.step, job.share, told_s = step, share, monotonic_s()
            jobs.put(job)

    return tell


def _came_of(update: ModelUpdate) -> str:
    return f"{update.update_type} {update.outcome}: {update.after}"


def _say(console: Console, update: ModelUpdate) -> None:
    console.print(f"{update.update_type}: {update.outcome}. {update.detail}")
    if update.performance_metrics is not None:
        console.print_json(msgspec.json.encode(update.performance_metrics).decode())
    if update.is_learning is False:
        share = 100.0 * (update.from_base_fraction or 0.0)
        console.print(
            f"Not learning: the weights are {share:.3f} % of their length from those of the fit. "
            "That is what the safe mode does; --mode recommended moves them."
        )


@contextmanager
def _children(home: Path) -> Iterator[Children]:
    """Give a place for the database if it does not run, and stop it at the end."""
    children = Children(home / "logs")
    try:
        yield children
    finally:
        children.stop()
