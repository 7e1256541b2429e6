"""``tradewind train``: models of a file's market, kept by their digest."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.cli.models import registered
from agents.cli.spoken import spoken_errors
from agents.run.fit import models_for
from agents.run.progress import shown
from agents.run.stores import database
from agents.run.workers import Children
from streams.brokers import stack_home
from streams.sources.bridge import BridgeTape
from streams.sources.files import FileTape, open_tape
from streams.sources.replay import Stretch
from streams.timestamps import parse_ns
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreUnavailable
from tables.stores.servers import mlflow


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(train)


def train(
    file: Annotated[
        Path | None, typer.Option("--file", help="CSV or Parquet; default: the demo's stocks.")
    ] = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a bar.")] = None,
    until: Annotated[str | None, typer.Option(help="Last close to fit on, RFC 3339.")] = None,
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
) -> None:
    """Fit models, register them as champion, and print their digest for `tradewind up --models`."""
    console = Console(stderr=True, highlight=False)
    with spoken_errors():
        tape = BridgeTape() if file is None else _vetted(file, timeframe)
        closes = tape.closes_ns()
        stretch = Stretch(closes[0], closes[-1] if until is None else parse_ns(until))
        home = stack_home(name)
        artifacts = Artifacts(home / "artifacts")
        with shown(console) as progress:
            digest, is_new = models_for(tape, stretch, artifacts, progress)
        metrics = artifacts.load_models(digest).metadata["metrics"]
        console.print(f"{'Fitted' if is_new else 'Found'}; measured on bars that were held back:")
        console.print_json(json.dumps(metrics["held_back"]))
        typer.echo(digest)
        console.print(_registered(home, digest))


def _vetted(file: Path, timeframe: str | None) -> FileTape:
    tape = open_tape(file, timeframe=timeframe)
    tape.vet()
    return tape


def _registered(home: Path, digest: str) -> str:
    """Register the models where a registry is installed, and say so."""
    if not mlflow.is_usable(home):
        return f"Not registered: {mlflow.VARIABLE} is not set and MLflow is not installed."
    children = Children(home / "logs")
    try:
        database(home, children)
        version = registered(home.name, digest)
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"The models are kept but not registered; `tradewind models register {digest}` tries "
            f"it again: {error}"
        ) from error
    finally:
        children.stop()
    return f"Registered as {version.name} version {version.number}: {', '.join(version.aliases)}."
