"""The live roles of a stack: worker, clock and page, each a process that outlives the command."""

from pathlib import Path

import msgspec

from agents.cli.live_plan import LivePlan
from agents.cli.role_part import RolePart
from agents.run import keeper
from agents.run.calendars import calendars_of, live_stretch
from agents.run.parity import spread
from agents.run.serving import (
    LEARNING_HOST,
    Others,
    auth_folder,
    pages_options,
    serving_options,
)
from agents.run.workers import free_port
from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from streams.brokers import stack_id
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.errors import SettingsError
from streams.settings import OFF, Settings, instruments_of, portfolios_of
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.servers.postgres import is_usable

CLOCK_ID = "live"


def planned(home: Path, models: str, settings: Settings) -> LivePlan:
    """Return the plan with an epoch of these models and settings, a new one if anything changed.

    It is for the caller to keep. A rollout goes on with it.

    Raises
    ------
    SettingsError
        If the grid or an account would change, or a rollout of other models runs.
    """
    plan = LivePlan.of(home)
    artifacts = Artifacts(home / "artifacts")
    metadata = artifacts.load_models(models).metadata
    instruments = instruments_of(settings, tuple(metadata["symbols"]))
    first_ns, last_ns = live_stretch(wall_ns())
    epoch = Epoch(
        timeframe=metadata["timeframe"],
        n_partitions=settings.partitions,
        clock_id=CLOCK_ID,
        lateness_ms=settings.lateness_ms,
        max_ahead_ms=settings.max_ahead_ms,
        venue_latency_ms=settings.venue_latency_ms,
        instruments=instruments,
        calendars=calendars_of(instruments, first_ns, last_ns, artifacts),
        portfolios=spread(portfolios_of(settings), metadata),
        models=models,
        pipeline_version=PIPELINE_VERSION,
        pipeline_digest=pipeline_digest(),
    )
    epochs = Epochs(artifacts)
    if plan is not None:
        before = epochs.load(plan.epochs[-1]).epoch
        if before.layout() != epoch.layout():
            raise SettingsError(
                "these models or settings change the grid, the universe or an account that is "
                "live; start them as a stack of their own with --name"
            )
        epoch = _with_rollout(epoch, before)
    digest = epochs.put(epoch)
    if plan is None:
        label = f"live, bars of {epoch.timeframe}"
        plan = LivePlan([], label, free_port(settings.web_host), free_port(settings.web_host))
    plan.complete(settings.web_host)
    if digest not in plan.epochs[-1:]:
        plan.epochs.append(digest)
    return plan


def _with_rollout(epoch: Epoch, before: Epoch) -> Epoch:
    """Return the epoch with the rollout that runs; it is one of the models that decide."""
    rollout = before.rollout
    if rollout is not None and before.models != epoch.models:
        raise SettingsError(
            f"rollout {rollout.id} of models {rollout.challenger[:12]} against "
            f"{before.models[:12]} runs; models {epoch.models[:12]} cannot decide before it is "
            f"over: tradewind rollout rollback {rollout.id}"
        )
    return msgspec.structs.replace(epoch, rollout=rollout)


def keeper_of(home: Path) -> RolePart:
    """Return who starts the other parts again when they end by themselves."""
    return RolePart(keeper.NAME, home, (str(home),), module=keeper.__name__)


def roles_of(home: Path, plan: LivePlan, bootstrap: str, settings: Settings) -> list[RolePart]:
    """Return the live roles in the order in which they start."""
    host = settings.web_host
    pages, api = (f"{settings.scheme}://{host}:{port}" for port in (plan.web_port, plan.api_port))
    artifacts = f"--artifacts={home / 'artifacts'}"
    servers = f"--bootstrap={bootstrap}"
    others = Others(
        "" if plan.learning == OFF else f"http://{LEARNING_HOST}:{plan.learning_port}",
        "" if plan.rollouts == OFF else f"{settings.scheme}://{host}:{plan.rollout_port}",
    )
    worker = (
        "worker",
        servers,
        artifacts,
        f"--data={home / 'tables'}",
        f"--web-port={plan.worker_port}",
        *serving_options(home, plan.api_port, pages, others),
    )
    clock = (
        "clock",
        servers,
        artifacts,
        f"--epoch={plan.epochs[-1]}",
        f"--number={len(plan.epochs)}",
        f"--metrics-port={plan.clock_port}",
    )
    archive = (
        *("archive", servers, artifacts, f"--name={home.name}"),
        f"--metrics-port={plan.archive_port}",
    )
    forensics = (
        *("forensics", servers, f"--name={home.name}"),
        f"--metrics-port={plan.forensics_port}",
    )
    web = (
        "web",
        servers,
        f"--port={plan.web_port}",
        f"--label={plan.label}",
        f"--stats-url=http://{host}:{plan.worker_port}/",
        f"--host={host}",
        f"--metrics-port={plan.pages_port}",
        *pages_options(home, api, others),
    )
    return [
        RolePart("worker", home, worker, plan.api_port, host, f"{api}/"),
        RolePart("clock", home, clock),
        *(_of_sql(home, plan, host, archive, forensics) if is_usable(home) else []),
        _explainer(home, plan, servers, host),
        *([] if plan.learning == OFF else [_learner(home, plan, servers)]),
        *([] if plan.rollouts == OFF else [_mover(home, plan, servers, host)]),
        RolePart("web", home, web, plan.web_port, host, f"{pages}/"),
    ]


def _explainer(home: Path, plan: LivePlan, servers: str, host: str) -> RolePart:
    """Return the worker that explains."""
    arguments = (
        *("worker", "--role=forensics", servers, f"--artifacts={home / 'artifacts'}"),
        *(f"--data={home / 'tables-explain'}", f"--web-port={plan.explain_port}"),
    )
    return RolePart("explain", home, arguments, plan.explain_port, host)


def _learner(home: Path, plan: LivePlan, servers: str) -> RolePart:
    """Return who lets the models learn."""
    arguments = (
        *("learning", servers, f"--name={home.name}", f"--mode={plan.learning}"),
        f"--port={plan.learning_port}",
        f"--metrics-port={plan.learning_metrics_port}",
    )
    return RolePart("learning", home, arguments, plan.learning_port, LEARNING_HOST)


def _mover(home: Path, plan: LivePlan, servers: str, host: str) -> RolePart:
    """Return who measures rollouts and moves them."""
    arguments = (
        *("worker", "--role=rollout", servers, f"--artifacts={home / 'artifacts'}"),
        *(f"--data={home / 'rollout'}", f"--web-port={plan.rollout_metrics_port}"),
        *(f"--api-port={plan.rollout_port}", f"--auth={auth_folder(home)}"),
        f"--stack={stack_id(home)}",
    )
    return RolePart("rollout", home, arguments, plan.rollout_port, host)


def _of_sql(
    home: Path, plan: LivePlan, host: str, archive: tuple[str, ...], forensics: tuple[str, ...]
) -> list[RolePart]:
    """Return the roles that write to the database."""
    return [
        RolePart("archive", home, archive, plan.archive_port, host),
        RolePart("forensics", home, forensics, plan.forensics_port, host),
    ]
