"""``tradewind train``: models of a file's market, kept by their digest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from agents.cli.models import named, registered
from agents.cli.spoken import spoken_errors
from agents.cli.times import asked_ns
from agents.run.fit import models_for, why_not
from agents.run.progress import shown
from agents.run.stores import database
from agents.run.workers import Children
from streams.brokers import stack_home
from streams.errors import SettingsError
from streams.sources.bridge import BridgeTape
from streams.sources.files import FileTape, open_tape
from streams.sources.replay import Stretch
from streams.sources.tape import Tape
from tables.stores.artifacts import Artifacts
from tables.stores.errors import NoChampion, StoreUnavailable
from tables.stores.model_registry import CHAMPION
from tables.stores.servers import mlflow

_NONE = "none"
_NO_REGISTRY = f"{mlflow.VARIABLE} is not set and MLflow is not installed"


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
    previous: Annotated[
        str, typer.Option(help="Models whose regimes are carried on: a digest, champion, or none.")
    ] = CHAMPION,
) -> None:
    """Fit models, register them as champion, and print their digest for `tradewind up --models`."""
    console = Console(stderr=True, highlight=False)
    with spoken_errors(), _children(stack_home(name)) as children:
        tape = BridgeTape() if file is None else _vetted(file, timeframe)
        closes = tape.closes_ns()
        until_ns = asked_ns("--until", until)
        stretch = Stretch(closes[0], closes[-1] if until_ns is None else until_ns)
        home = stack_home(name)
        artifacts = Artifacts(home / "artifacts")
        earlier, why = _earlier(previous, tape, stretch, artifacts, children)
        if earlier is None:
            console.print(f"Regimes are fitted from scratch: {why}.")
        with shown(console) as progress:
            digest, is_new = models_for(tape, stretch, artifacts, progress, earlier)
        metadata = artifacts.load_models(digest).metadata
        if earlier is not None:
            console.print(f"Regimes: {metadata['succession']['why']}.")
        console.print(f"{'Fitted' if is_new else 'Found'}; measured on bars that were held back:")
        console.print_json(json.dumps(metadata["metrics"]["held_back"]))
        typer.echo(digest)
        console.print(_registered(home, digest, children))


def _vetted(file: Path, timeframe: str | None) -> FileTape:
    tape = open_tape(file, timeframe=timeframe)
    tape.vet()
    return tape


def _earlier(
    asked: str, tape: Tape, stretch: Stretch, artifacts: Artifacts, children: Children
) -> tuple[str | None, str]:
    """Return the digest of the models to succeed, or None and why there are none."""
    if asked == _NONE:
        return None, f"--previous {_NONE}"
    digest = asked
    if asked == CHAMPION:
        digest, why = _champion(artifacts.root.parent, tape.timeframe, children)
        if not digest:
            return None, why
    why = why_not(artifacts.load_models(digest).metadata, tape, stretch)
    if why and asked != CHAMPION:
        raise SettingsError(
            f"--previous {asked} cannot be succeeded: {why}; give {_NONE} to fit from scratch"
        )
    return (None, f"{CHAMPION} {digest[:12]} has no successor here: {why}") if why else (digest, "")


def _champion(home: Path, timeframe: str, children: Children) -> tuple[str, str]:
    """Return the digest of the champion, or an empty text and why there is none.

    Raises
    ------
    StoreUnavailable
        If nobody can tell: names that were carried on for years must not end with a bad hour.
    """
    if not mlflow.is_usable(home):
        return "", _NO_REGISTRY
    try:
        database(home, children)
        return named(home.name, f"{CHAMPION}:{timeframe}"), ""
    except NoChampion:
        return "", f"the stack has no {CHAMPION} of {timeframe} yet"
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"Whether there is a {CHAMPION} to succeed is not known: {error}; --previous takes "
            f"its digest as well, or {_NONE} to fit from scratch"
        ) from error


def _registered(home: Path, digest: str, children: Children) -> str:
    """Register the models where a registry is installed, and say so."""
    if not mlflow.is_usable(home):
        return f"Not registered: {_NO_REGISTRY}."
    try:
        database(home, children)
        version = registered(home.name, digest)
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"The models are kept but not registered; `tradewind models register {digest}` tries "
            f"it again: {error}"
        ) from error
    return f"Registered as {version.name} version {version.number}: {', '.join(version.aliases)}."


@contextmanager
def _children(home: Path) -> Iterator[Children]:
    """Give a place for the servers that the command starts, and stop them at its end."""
    children = Children(home / "logs")
    try:
        yield children
    finally:
        children.stop()
