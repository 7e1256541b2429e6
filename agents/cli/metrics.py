"""``tradewind metrics``: where Prometheus finds what the roles of a stack tell."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.book_access import Stack
from agents.cli.live_plan import METRICS_PORTS, LivePlan
from agents.cli.spoken import spoken_errors
from streams.brokers import stack_home, stack_id
from streams.errors import SettingsError
from streams.settings import Settings
from tables.stores.servers.postgres import is_usable

_Write = Annotated[
    Path | None, typer.Option("--write", help="File that Prometheus watches, instead of printing.")
]

# They need the database, and are not started without one.
_OF_SQL = ("archive", "forensics")

commands = typer.Typer(help="What the roles measure.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """Keep the verb: with one command alone typer would take it for an argument."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="metrics")


@commands.command()
def targets(name: Stack = "default", write: _Write = None) -> None:
    """Give the scrape targets of a live stack, one a role, in the form of `file_sd_configs`."""
    with spoken_errors():
        home = stack_home(name)
        plan = LivePlan.of(home)
        if plan is None:
            raise SettingsError(
                f"stack {name!r} has no live roles; start it with `tradewind up --models DIGEST`"
            )
        text = json.dumps(_targets(home, plan, Settings.read().web_host), indent=2) + "\n"
        if write is None:
            typer.echo(text, nl=False)
            return
        # Prometheus reads the file whenever it changes, and must not find half of it.
        partial = write.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(write)


def _targets(home: Path, plan: LivePlan, host: str) -> list[dict[str, object]]:
    has_sql = is_usable(home)
    return [
        {
            "targets": [f"{host}:{getattr(plan, field)}"],
            "labels": {"job": "tradewind", "role": role, "stack": stack_id(home)},
        }
        for role, field in METRICS_PORTS.items()
        if (has_sql or role not in _OF_SQL) and plan.has(role)
    ]
