"""``tradewind config``: what this process would run with, and where each value is from."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.spoken import spoken_errors
from streams.brokers.given import VARIABLE as BROKER
from streams.kafka_access import PASSWORD
from streams.secret_files import VARIABLES as SECRETS
from streams.settings import CONFIG, Settings
from tables.stores.servers.postgres import without_password

_SHOWN = (BROKER, "TRADEWIND_HOME", CONFIG, "JAVA_HOME")
_HIDDEN = "***"

commands = typer.Typer(help="The configuration in force.", no_args_is_help=True)


class Value(NamedTuple):
    """A setting or variable as it may be shown, and where it is from."""

    name: str
    value: Any
    source: str


@commands.callback()
def _group() -> None:
    """Keep the verb: with one command alone typer would take it for an argument."""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="config")


@commands.command()
def show(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False
) -> None:
    """Show every setting with its value and source; passwords are left out of addresses."""
    with spoken_errors():
        found = [*of_settings(Settings.read(), os.environ), *of_variables(os.environ)]
    if as_json:
        typer.echo(json.dumps([value._asdict() for value in found]))
        return
    table = Table("name", "value", "from")
    for name, value, source in found:
        shown = value if isinstance(value, str) else json.dumps(value)
        table.add_row(name, shown, source)
    Console().print(table)


def of_settings(settings: Settings, environment: Mapping[str, str]) -> list[Value]:
    """Return the settings, each from the environment, the file or the code."""
    file = environment.get(CONFIG, "tradewind.toml")
    given = {
        name.removeprefix("TRADEWIND_").lower().partition("__")[0]
        for name in environment
        if name.startswith("TRADEWIND_")
    }

    def source(name: str) -> str:
        if name not in settings.model_fields_set:
            return "default"
        in_file = Path(file).is_file()
        if name in given:
            # Tables of the one and of the other are put together.
            return f"environment, {file}" if in_file and _is_table(name) else "environment"
        return file

    values = settings.model_dump(mode="json")
    return [Value(name, values[name], source(name)) for name in type(settings).model_fields]


def of_variables(environment: Mapping[str, str]) -> list[Value]:
    """Return the variables that are no settings, as far as they are set, without their secrets."""
    found = [
        Value(name, environment[name], "environment") for name in _SHOWN if name in environment
    ]
    secret = [name for name in SECRETS if environment.get(name)]
    return [*found, *(Value(each, _spoken(each, environment), "environment") for each in secret)]


def _is_table(name: str) -> bool:
    return name in {"instruments", "portfolios"}


def _spoken(name: str, environment: Mapping[str, str]) -> str:
    """Return an address as it may be shown; nothing of what is none."""
    address = environment[name]
    if name == PASSWORD:
        return _HIDDEN
    try:
        shown = without_password(address)
    except ValueError:
        return _HIDDEN
    return shown if "://" in shown else _HIDDEN
