"""``tradewind book``: state what a book begins with."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agents.cli import book_access
from agents.cli.book_access import Run, Stack
from agents.cli.risk import Actor, Json, PortfolioId, Reason, Role
from agents.cli.spoken import spoken_errors
from streams.errors import SettingsError
from streams.instructions import BookOpen

_LARGEST_BYTES = 4 << 20

commands = typer.Typer(help="State what a book begins with.")


@commands.callback()
def book() -> None:
    """State what a book begins with."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="book")


@commands.command("open")
def open_(  # noqa: PLR0913, PLR0917  one argument per option of the command
    file: Annotated[
        Path,
        typer.Option(
            "--file",
            exists=True,
            dir_okay=False,
            help='TOML: cash = "1000000", and [[positions]] with symbol, quantity and price.',
        ),
    ],
    reason: Reason = "opening balance",
    portfolio: PortfolioId = "main",
    role: Role = "trader",
    actor: Actor = None,
    stack: Stack = "default",
    run: Run = "",
    *,
    as_json: Json = False,
) -> None:
    """Replace cash and positions of a book without open orders (admin)."""
    with spoken_errors():
        by = book_access.By(portfolio, actor, role, reason)
        book_access.append(stack, run, _opening(file, by), as_json=as_json)


def _opening(file: Path, by: book_access.By) -> BookOpen:
    if file.stat().st_size > _LARGEST_BYTES:
        raise SettingsError(f"{file} is larger than {_LARGEST_BYTES} bytes; it is no opening")
    try:
        stated = tomllib.loads(file.read_text())
        return msgspec.convert({**stated, **by.fields()}, BookOpen)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{file} states no book: {error}") from error
