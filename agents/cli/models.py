"""``tradewind models``: what is registered, and which version is champion."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.in_order import in_order
from agents.cli.spoken import spoken_errors
from agents.run import registration
from agents.run.progress import shown
from agents.run.rebuild import rebuilt, source_of
from streams.brokers import stack_home, stack_id
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreConflict
from tables.stores.migrations import bring_up_to_date
from tables.stores.model_registry import CHAMPION, ModelRegistry, Version, is_of, model_name
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
    every: Annotated[
        bool, typer.Option("--all", help="Those of all stacks at the tracking address.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the stack's versions, the newest first, with their digests and aliases."""
    with spoken_errors():
        registry, stack = opened(name), stack_id(stack_home(name))
        known = [model for model in registry.names() if every or is_of(model, stack)]
        found = [each for model in known for each in registry.versions(model)]
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found]))
        return
    table = Table()
    table.add_column("model", overflow="fold")
    for column in ("version", "aliases", "run"):
        table.add_column(column)
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


@models.command()
def rebuild(
    digest: _Digest,
    file: Annotated[
        Path | None, typer.Option("--file", help="CSV or Parquet that the bars were from.")
    ] = None,
    name: _Name = "default",
) -> None:
    """Make a model set once more from its lineage, and compare digests; exit 1 if they differ."""
    with in_order(stderr=True, interrupted="Interrupted: nothing was kept.") as console:
        with shown(console) as progress:
            home = stack_home(name)
            again = rebuilt(home, digest, source_of(home, digest, file, progress), progress)
        if again != digest:
            raise StoreConflict(f"built again it is {again}; expected {digest}")
    typer.echo(again)


def registered(name: str, digest: str) -> Version:
    """Register a model set of a stack and make it champion."""
    home = stack_home(name)
    artifacts = Artifacts(home / "artifacts")
    with admin_act(home, "models register", on=digest) as act:
        artifacts.load_models(digest)
        version = registration.register(opened(name), artifacts, digest)
        act.detail = f"{version.name} version {version.number} is {', '.join(version.aliases)}"
    return version


def named(name: str, asked: str) -> str:
    """Return the digest of the models with a name of the registry, their file in the stack's store.

    ``champion`` or ``candidate`` will do where the stack has registered models of one timeframe,
    else ``champion:1day``. Another stack's are asked for by the whole name of the model.
    """
    registry, stack = opened(name), stack_id(stack_home(name))
    known = registry.names()
    own = [model for model in known if is_of(model, stack)]
    alias, _, which = asked.partition(":")
    if not which and len(own) != 1:
        raise SettingsError(
            f"--models was {asked!r}; expected {alias}:TIMEFRAME or {alias}:MODEL, because stack "
            f"{stack} has registered {', '.join(own) or 'no models'}; all models of the registry: "
            f"{', '.join(known) or 'none'}"
        )
    model = which if which in known else model_name(which, stack) if which else own[0]
    if alias == CHAMPION:
        return registry.fetch(registry.champion(model))
    found = registry.called(model, alias)
    if found is None:
        raise StoreConflict(f"no version of {model} is called {alias}: `tradewind learn` makes one")
    return registry.fetch(found)


def opened(name: str) -> ModelRegistry:
    """Return a stack's registry, its database brought up to date."""
    return opened_in(stack_home(name))


def opened_in(home: Path) -> ModelRegistry:
    """Return the registry of the stack in a folder, its database brought up to date."""
    tracking = tracking_of(home)
    if tracking.provider == "embedded":
        asyncio.run(bring_up_to_date(server_of(home)))
    return ModelRegistry(tracking, Artifacts(home / "artifacts"))
