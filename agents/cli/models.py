"""``tradewind models``: what is registered, and which version is champion."""

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.spoken import spoken_errors
from agents.run import registration
from streams.brokers import stack_home
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts
from tables.stores.migrations import bring_up_to_date
from tables.stores.model_registry import ModelRegistry, Version, model_name
from tables.stores.servers.mlflow import tracking_of
from tables.stores.servers.postgres import server_of

_Name = Annotated[str, typer.Option("--name", help="The stack.")]
_Digest = Annotated[str, typer.Argument(help="Digest of a model set of the stack.")]

models = typer.Typer(help="Registered models and their champions.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(
    name: _Name = "default",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List every version, the newest first, with its digest and aliases."""
    with spoken_errors():
        registry = opened(name)
        found = [each for known in registry.names() for each in registry.versions(known)]
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found]))
        return
    table = Table("model", "version", "aliases", "run")
    table.add_column("digest", overflow="fold")
    for each in found:
        table.add_row(
            each.name, str(each.number), ", ".join(each.aliases), each.run_id, each.digest
        )
    Console().print(table)


@models.command("register")
def register_models(digest: _Digest, name: _Name = "default") -> None:
    """Register a fitted model set and make it champion; an older version can be made it again."""
    with spoken_errors():
        version = registered(name, digest)
    typer.echo(f"{version.name} version {version.number} is {', '.join(version.aliases)}")


def registered(name: str, digest: str) -> Version:
    """Register a model set of a stack and make it champion."""
    artifacts = Artifacts(stack_home(name) / "artifacts")
    artifacts.load_models(digest)
    return registration.register(opened(name), artifacts, digest)


def champion(name: str, asked: str) -> str:
    """Return the digest of the champion asked for, its file in the stack's store.

    ``champion`` will do where models of one timeframe are registered, else ``champion:1day``.
    """
    registry = opened(name)
    known = registry.names()
    _, _, timeframe = asked.partition(":")
    if not timeframe and len(known) != 1:
        raise SettingsError(
            f"--models was {asked!r}; expected champion:TIMEFRAME, because the registry has "
            f"{', '.join(known) or 'no models'}"
        )
    return registry.fetch(registry.champion(model_name(timeframe) if timeframe else known[0]))


def opened(name: str) -> ModelRegistry:
    """Return a stack's registry, its database brought up to date."""
    home = stack_home(name)
    tracking = tracking_of(home)
    if tracking.provider == "embedded":
        asyncio.run(bring_up_to_date(server_of(home)))
    return ModelRegistry(tracking, Artifacts(home / "artifacts"))
