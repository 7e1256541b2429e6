"""``tradewind learn``: a candidate learns from the last days, and is one if that does no harm."""

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
from agents.cli.learn_deeds import Deeds
from agents.cli.times import asked_ns
from agents.run import registration
from agents.run.learn import Learner, Told, event_of, gate_metrics, window_of
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
from tables.stores.bar_journal import BarJournal
from tables.stores.jobs import Job, Jobs
from tables.stores.model_registry import CANDIDATE, CHAMPION, ModelRegistry, model_name

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
    """Let the models learn from the last days; what does no harm is the registry's candidate."""
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
        with _rollbacks_said(console, asked), admin_act(home, "learn", **deed) as act:
            with _followed(jobs, asked), _children(home) as children, shown(console) as bars:
                progress = _telling(jobs, asked, bars)
                source = _source(home, file, timeframe, until, progress)
                registry = _registry(name, home, children)
                of = CHAMPION if timeframe is None else f"{CHAMPION}:{timeframe}"
                with one_training(home, progress):
                    _update(Learner(home, source, settings, progress), registry, jobs, asked, of)
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
        return FileSource(tape, home, progress, asked_ns("--until", until))
    return JournalSource(journal_of(home), home)


def journal_of(home: Path) -> BarJournal:
    """Return the days of bars that a stack has kept."""
    return BarJournal(home / "learning" / "bars")


def _registry(name: str, home: Path, children: Children) -> ModelRegistry:
    database(home, children)
    return registry_of.opened(name)


def _update(learner: Learner, registry: ModelRegistry, jobs: Jobs, job: Job, of: str) -> None:
    """Judge what learned before, make its successor, and act on the verdicts.

    Learning gives the name candidate and no other. The champion it can only take back, for the one
    that the champion was learned beside.
    """
    artifacts = learner.artifacts
    champion = registry_of.named(learner.home.name, of)
    metadata = artifacts.metadata_of(champion)
    model_id = model_name(metadata["timeframe"], stack_id(learner.home))
    deeds = Deeds(registry, artifacts, jobs, job)
    if deeds.is_done(model_id):
        return
    stretch = learner.stretch(champion)
    told = Told(job.job_id, model_id, window_of(stretch, learner.settings), wall_ns())
    fallen, back = "", learner.step_back(champion, stretch)
    if back is not None:
        with deeds.doing(event_of(told, "rollback", "rolled_back", champion, back)):
            registration.register(registry, artifacts, back.digest)
        fallen, champion = champion, back.digest
    start = deeds.candidate(model_id, champion, fallen)
    back = None if start == champion else learner.held(start, champion, stretch)
    if back is not None:
        with deeds.doing(event_of(told, "rollback", "rolled_back", start, back)):
            registry.release(model_id, CANDIDATE)
        start = champion
    judged = learner.advance(start, champion, stretch)
    passed = judged.stability.passed
    outcome: Outcome = "promoted" if passed else "refused"
    with deeds.doing(event_of(told, "online_update", outcome, start, judged)):
        alias = CANDIDATE if passed else None
        registration.register(registry, artifacts, judged.digest, alias, gate_metrics(judged))


@contextmanager
def _followed(jobs: Jobs, job: Job) -> Iterator[None]:
    """Write down that a job is under way, and how it ended; one at a time in a stack."""
    with jobs.only_one():
        job.state, job.detail = "running", ""
        jobs.put(job)
        try:
            yield
        except HistoryTooShort as error:
            _too_short(jobs, job, error)
        except BaseException as error:
            job.state = "cancelled" if isinstance(error, KeyboardInterrupt) else "failed"
            _unmade(jobs, job, str(error) or type(error).__name__)
            raise
        job.state, job.step, job.share = "done", "", 1.0
        jobs.put(job)


@contextmanager
def _rollbacks_said(console: Console, job: Job) -> Iterator[None]:
    """Say what was taken back where the update behind it failed: that stays done."""
    try:
        yield
    except BaseException:
        for update in job.updates:
            if update.outcome == "rolled_back":
                _say(console, update)
        raise


def _too_short(jobs: Jobs, job: Job, error: HistoryTooShort) -> None:
    """Let a daily update wait for more days; whoever asked for one is told that it failed."""
    job.detail = str(error)
    if job.trigger != "daily":
        job.state = "failed"
        _unmade(jobs, job, str(error))
        raise error


def _unmade(jobs: Jobs, job: Job, detail: str) -> None:
    """Write down that a job ended before its end; what it did until then stays told."""
    job.detail = detail
    job.updates.append(job.unmade(wall_ns()))
    jobs.put(job)


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
    if update.outcome == "rolled_back":
        console.print(
            "Where these models decide live, they do so until the role rollout takes them back; "
            "without it: tradewind up --models=champion."
        )
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
