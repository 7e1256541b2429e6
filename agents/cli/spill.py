"""``tradewind spill``: what waits on disk for a broker or a store that is away."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.book_access import Stack
from agents.cli.spoken import spoken_errors
from streams.brokers import stack_home
from streams.errors import SettingsError
from streams.timestamps import format_ns
from tables.stores.errors import SegmentDamaged
from tables.stores.spilled import Spilled, spills, waiting

_Name = Annotated[str, typer.Argument(help="A folder as `list` prints it.")]
_Limit = Annotated[int, typer.Option(min=1, help="As many at most, the oldest.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

commands = typer.Typer(help="Records on disk that wait.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="spill")


@commands.command("list")
def list_spills(stack: Stack = "default", *, as_json: _Json = False) -> None:
    """List the stack's folders: records that wait, their bytes, since when, and damage."""
    found = [_told(folder) for folder in spills(stack_home(stack))]
    if as_json:
        for told in found:
            typer.echo(json.dumps(told))
        return
    table = Table("folder", "records", "bytes", "oldest", "damage")
    for told in found:
        table.add_row(
            *(f"{value:,}" if isinstance(value, int) else value for value in told.values())
        )
    if found:
        Console().print(table)
    n_records = sum(told["records"] for told in found)
    typer.echo(f"{n_records:,} records wait in {len(found)} folders.")


@commands.command()
def show(name: _Name, stack: Stack = "default", limit: _Limit = 20) -> None:
    """Show what waits in a folder, the oldest first, as JSON."""
    with spoken_errors():
        folders = {folder.name: folder for folder in spills(stack_home(stack))}
        if name not in folders:
            raise SettingsError(
                f"there is no folder {name!r}; expected one of {', '.join(folders) or 'none'}: "
                "`tradewind spill list` names them"
            )
        for number, one in enumerate(waiting(folders[name])):
            if number == limit:
                break
            typer.echo(json.dumps(_plain(one)))


def _told(folder: Path) -> dict[str, Any]:
    n_records, oldest, damage = 0, "", ""
    try:
        for one in waiting(folder):
            n_records += 1
            oldest = oldest or format_ns(one.written_ns)
    except SegmentDamaged as error:
        damage = str(error)
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.segment"))
    return {
        "folder": folder.name,
        "records": n_records,
        "bytes": n_bytes,
        "oldest": oldest,
        "damage": damage,
    }


def _plain(one: Spilled) -> dict[str, Any]:
    """Return a record as JSON can say it; bytes that are no text keep their escapes."""
    record = one.record
    return {
        "written": format_ns(one.written_ns),
        "topic": record.topic,
        "partition": record.partition,
        "key": None if record.key is None else record.key.decode(errors="backslashreplace"),
        "value": record.value.decode(errors="backslashreplace"),
        "headers": {key: value.decode(errors="backslashreplace") for key, value in record.headers},
    }
