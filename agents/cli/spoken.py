"""Errors that a person at the terminal can act on become one message and an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from aiokafka.errors import KafkaError

from models.errors import ModelError
from streams.errors import StreamError
from tables.stores.artifacts import ArtifactError
from tables.stores.errors import StoreError


@contextmanager
def spoken_errors() -> Iterator[None]:
    """Say our own errors, which name the way out, and the broker's; exit 1."""
    try:
        yield
    except (StreamError, ModelError, ArtifactError, StoreError) as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
    except KafkaError as error:
        typer.secho(f"The broker did not do it: {error!r}", fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error
