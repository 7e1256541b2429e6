"""The stack's life on the command line: up, down, status, doctor."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.doctor import Finding, examine
from agents.cli.live_models import live_models
from agents.cli.live_plan import LivePlan
from agents.cli.parts import Part, PartState, parts_of
from agents.cli.role_part import RolePart
from agents.cli.roles import keeper_of, planned, roles_of
from agents.cli.spoken import spoken_errors
from agents.cli.stores import stores_of
from agents.run.drive import declare_live
from agents.run.parity import remarks
from agents.run.warm import warm_up
from streams.brokers import stack_home, stack_id
from streams.errors import SettingsError
from streams.settings import Settings
from streams.sources.files import open_tape
from streams.tls import tls_of

_Name = Annotated[str, typer.Option("--name", help="The stack; several live side by side.")]
_Port = Annotated[
    int | None,
    typer.Option("--port", min=1, max=65_535, help="Port of the embedded broker; default: free."),
]
_Models = Annotated[
    str | None,
    typer.Option("--models", help="Digest to go live with, or champion, or champion:TIMEFRAME."),
]
_History = Annotated[
    Path | None, typer.Option("--history", help="File whose last bars warm the features up.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_NO_HISTORY = (
    "--history comes before a stack's first live bar, with its first --models; a stack that has "
    "been live goes on from what its features saw"
)
_COLOURS = {"ok": "green", "missing": "bold red", "optional": "yellow"}
_MINUTE_S = 60


def register(app: typer.Typer) -> None:
    """Add the four commands to the program."""
    for command in (up, down, status, doctor):
        app.command()(command)


def up(
    name: _Name = "default",
    port: _Port = None,
    models: _Models = None,
    history: _History = None,
) -> None:
    """Start the broker in the background, or find it running; with --models the live roles too."""
    with spoken_errors():
        home = stack_home(name)
        if models is None:
            started = _start(name, home, port, None, history)
        else:
            with admin_act(home, "up", on=models) as act:
                started = _start(name, home, port, models, history)
                if (plan := LivePlan.of(home)) is not None:
                    act.detail = f"epoch {len(plan.epochs)}, {plan.epochs[-1]}"
    _print_parts(name, started)


def _start(
    name: str, home: Path, port: int | None, models: str | None, history: Path | None
) -> list[PartState]:
    postgres, redis, tracking = stores_of(name)
    with _unkept(home) as keeper:
        started = [part.start() for part in (*parts_of(home, port=port), postgres, redis)]
        started += _start_roles(name, home, started[0].address or "", models, history)
        # Last: it starts slowly, and no role waits for it.
        started.append(tracking.start())
    started.append(keeper.start())
    return started


@contextmanager
def _unkept(home: Path) -> Iterator[Part]:
    """Change parts without the keeper; the next one has the settings of this command."""
    keeper = keeper_of(home)
    was_running = keeper.stop() is not None
    try:
        yield keeper
    except BaseException:
        if was_running:
            keeper.start()
        raise


def _start_roles(
    name: str, home: Path, servers: str, models: str | None, history: Path | None
) -> list[PartState]:
    before = plan = LivePlan.of(home)
    if history is not None and (before is not None or models is None):
        raise SettingsError(_NO_HISTORY)
    if models is not None:
        plan = planned(home, live_models(name, models), Settings.read())
        for told in remarks(plan.decides(home)):
            typer.secho(told, fg=typer.colors.YELLOW)
    if plan is None:
        return []
    settings = Settings.read()
    tls_of(settings)  # a role would say it in its log only
    asyncio.run(declare_live(servers, settings))
    if history is not None:
        _warm_up(home, servers, plan, history)
    plan.complete(settings.web_host)
    _set_roles(home, plan, settings)
    # Only now: until its history is sent whole, a stack has not been live.
    plan.keep(home)
    return [role.start() for role in roles_of(home, plan, servers, settings)]


def _set_roles(home: Path, plan: LivePlan, settings: Settings) -> None:
    """Take over which roles are wanted; one that is no more, or is otherwise, is stopped."""
    changed = {
        name
        for name, had, wanted in (
            ("learning", plan.learning, settings.learning),
            ("rollout", plan.rollouts, settings.rollouts),
        )
        if had != wanted
    }
    for role in _roles(home):
        if role.name in changed:
            role.stop()
    plan.learning, plan.rollouts = settings.learning, settings.rollouts


def down(name: _Name = "default") -> None:
    """Stop the stack's parts, the last one first; the data stays."""
    with spoken_errors():
        home = stack_home(name)
        answers = [part.stop() for part in reversed(_parts(name, home))]
    stopped = [answer for answer in answers if answer is not None]
    typer.echo(f"Stopped {', '.join(stopped)}." if stopped else f"Nothing ran in stack {name}.")


def status(*, name: _Name = "default", as_json: _Json = False) -> None:
    """Say which parts run, where, for how long and how large they are."""
    with spoken_errors():
        home = stack_home(name)
        states = [part.state() for part in _parts(name, home)]
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states]))
    else:
        _print_parts(name, states)


def doctor(*, as_json: _Json = False) -> None:
    """Say what this machine has and lacks; exit 1 if `make demo` cannot run."""
    findings = examine()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        Console().print(_findings_table(findings))
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _warm_up(home: Path, servers: str, plan: LivePlan, history: Path) -> None:
    (digest,) = plan.epochs
    epoch = plan.decides(home)
    tape = open_tape(history, timeframe=epoch.timeframe)
    typer.echo(f"{asyncio.run(warm_up(servers, epoch, digest, tape))} bars of history sent.")


def _parts(name: str, home: Path) -> list[Part]:
    """Return all parts in the order in which they may be needed by the next."""
    return [*parts_of(home), *stores_of(name), *_roles(home), keeper_of(home)]


def _roles(home: Path) -> list[RolePart]:
    plan = LivePlan.of(home)
    return [] if plan is None else roles_of(home, plan, "", Settings.read())


def _print_parts(name: str, states: Sequence[PartState]) -> None:
    table = Table("part", "provider", "state")
    table.add_column("address", overflow="fold")
    for column in ("pid", "uptime", "memory"):
        table.add_column(column)
    home = stack_home(name)
    table.title = f"Stack {stack_id(home) if home.exists() else name}"
    for state in states:
        table.add_row(
            state.name,
            state.provider,
            "[green]up[/]" if state.running else "[red]down[/]",
            state.address or "-",
            str(state.pid or "-"),
            _duration(state.uptime_s),
            "-" if state.memory_mb is None else f"{state.memory_mb:.0f} MB",
        )
    Console().print(table)
    for state in states:
        typer.echo(f"{state.name}: {state.why}.")


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = Table("what", "state")
    table.add_column("found", overflow="fold")
    table.add_column("how to get it", overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.state]
        table.add_row(finding.name, f"[{colour}]{finding.state}[/]", finding.found, finding.remedy)
    return table


def _duration(seconds: float | None) -> str:
    """Return a length of time for people.

    Examples
    --------
    >>> _duration(75.2)
    '1 min 15 s'
    """
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), _MINUTE_S)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
