"""``tradewind audit``: the trail of decisions, and what administrators did."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.spoken import spoken_errors
from agents.run.stores import database
from agents.run.workers import Children
from streams.brokers import existing_home, stack_home, stack_id
from streams.clock import wall_ns
from streams.errors import SettingsError
from tables import audit_verifier
from tables.archive import run_key
from tables.stores import audit_bundle
from tables.stores.admin_log import AdminLog
from tables.stores.audit_key import public_key_file
from tables.stores.audit_reader import AuditReader
from tables.stores.audit_shelf import HOT_DAYS, KEPT_YEARS, AuditShelf
from tables.stores.daily_marks import SHELF, mark_done
from tables.stores.errors import ShelfBusy, StoreUnavailable
from tables.stores.servers.postgres import VARIABLE, PostgresServer

audit = typer.Typer(
    help="The audit trail: prove, export, shelve, restore; acts of administrators.",
    no_args_is_help=True,
)

_Name = Annotated[str, typer.Option("--name", help="The stack.")]
_Run = Annotated[str, typer.Option("--run", help="Run whose trail it is; empty: live.")]
_Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Public key that you trust, PEM; default: the stack's own."),
]
_Heads = Annotated[
    list[Path] | None, typer.Option("--heads", help="Heads from elsewhere, one JSON line each.")
]
_NS_PER_S = 1_000_000_000


def register(app: typer.Typer) -> None:
    """Add the group of commands to the program."""
    app.add_typer(audit, name="audit")


@audit.command()
def verify(  # noqa: PLR0913  one argument per option of the command
    bundle: Annotated[
        Path | None, typer.Option(help="Exported file; default: what is kept.")
    ] = None,
    key: _Keys = None,
    heads: _Heads = None,
    name: _Name = "default",
    run: _Run = "",
    *,
    excerpt: Annotated[
        bool, typer.Option("--excerpt", help="The file was exported with --since.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Say whether the trail is what it was, else which row is not and why.

    Exit status: 0 if it holds, 1 if not, 2 if it cannot be read, 3 if it has no signed head yet, 4
    if it holds in itself, and neither --key nor the stack says whose key it is.
    """
    with spoken_errors(), tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            bundle = Path(folder) / "audit.zip"
            _exported(name, run, bundle, None)
        arguments = [
            str(bundle),
            *(f"--key={path}" for path in key or _own_key(name)),
            *(f"--heads={path}" for path in heads or []),
            *(["--excerpt"] if excerpt else []),
            *(["--json"] if as_json else []),
        ]
        status = audit_verifier.main(arguments)
    raise typer.Exit(status)


@audit.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write, a zip.")],
    since: Annotated[
        str | None, typer.Option(help="Leave out what is older than this day, YYYY-MM-DD.")
    ] = None,
    name: _Name = "default",
    run: _Run = "",
) -> None:
    """Write rows, signed heads, the public key and a verifier that needs nothing else to a file."""
    with spoken_errors():
        done = _exported(name, run, out, None if since is None else _midnight(since))
    typer.echo(
        f"{done.n_rows:,} rows and {done.n_heads:,} heads in {done.path}. Anywhere: "
        f"python verify.py {done.path.name} --key public.pem{' --excerpt' if since else ''}, with "
        f"a copy of {public_key_file(stack_home(name))} that came another way: whoever forges the "
        "file puts a key and a verify.py of his own into it."
    )


@audit.command()
def shelve(
    name: _Name = "default",
    *,
    expire: Annotated[
        bool, typer.Option("--expire", help=f"Delete files that are {KEPT_YEARS} years old.")
    ] = False,
) -> None:
    """Move days that ended a week ago from SQL to Parquet files; run it once a day."""
    with spoken_errors(), running_database(name) as server:
        home, today = stack_home(name), _today()
        shelf = AuditShelf(home)
        with admin_act(home, "audit shelve", on=f"before {today.isoformat()}") as outcome:
            try:
                n_days = asyncio.run(_shelved(shelf, server, stack_id(home), today))
            except ShelfBusy as error:
                outcome.detail = str(error)
                typer.echo(f"Nothing to do: {error}.")
                return
            outcome.detail = f"{n_days} days"
        mark_done(home, SHELF, wall_ns())
        if not n_days:
            typer.echo(f"Nothing in SQL is older than {HOT_DAYS} days.")
        for path in shelf.expired(today):
            typer.echo(f"{path} is older than {KEPT_YEARS} years{'; deleted' if expire else ''}.")
            if expire:
                with admin_act(home, "audit expire", on=path.name):
                    path.unlink()


@audit.command()
def restore(
    day: Annotated[str, typer.Argument(help="Day to put back, YYYY-MM-DD.")],
    name: _Name = "default",
) -> None:
    """Put a day from the shelf back into SQL."""
    with spoken_errors(), running_database(name) as server:
        home = stack_home(name)
        with admin_act(home, "audit restore", on=day) as outcome:
            n_rows = asyncio.run(AuditShelf(home).restore(server, _midnight(day).date()))
            outcome.detail = f"{n_rows} rows"
    typer.echo(f"{day}: {n_rows:,} rows are back in SQL.")


@audit.command()
def admin(
    name: _Name = "default",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List what administrators did, the latest last: when, who, what, why, and what came of it."""
    with spoken_errors():
        acts = AdminLog(existing_home(name)).acts()
    if as_json:
        for act in acts:
            said = {**msgspec.to_builtins(act.deed), "result": act.result, "detail": act.detail}
            typer.echo(json.dumps({"at": act.at, **said}))
        return
    table = Table()
    for column in ("when", "who", "what", "on", "result", "why and what came of it"):
        table.add_column(column, overflow="fold")
    for at, deed, result, detail in acts:
        who = " as ".join(filter(None, (deed.actor or deed.by, deed.role)))
        told = "; ".join(filter(None, (deed.reason, detail)))
        table.add_row(at, who, deed.what, deed.on, result, told)
    Console().print(table)


async def _shelved(shelf: AuditShelf, server: PostgresServer, stack: str, today: date) -> int:
    n_days = 0
    async for each in shelf.shelve(server, stack, today):
        typer.echo(f"{each.day.isoformat()}: {each.n_rows:,} rows in {each.path}.")
        n_days += 1
    return n_days


def _own_key(name: str) -> list[Path]:
    """Return the stack's key where there is one; a bundle may be verified where no stack is."""
    path = public_key_file(stack_home(name))
    return [path] if path.exists() else []


def _exported(name: str, run: str, out: Path, since: datetime | None) -> audit_bundle.Exported:
    home = stack_home(name)
    with running_database(name) as server:
        reader = AuditReader(server, run_key(stack_id(home), run))
        return asyncio.run(audit_bundle.export(home, reader, out, since))


@contextmanager
def running_database(name: str) -> Iterator[PostgresServer]:
    """Give the stack's database; one that does not run is started for as long as it is needed."""
    home = existing_home(name)
    children = Children(home / "logs")
    try:
        server = database(home, children)
        if server is None:
            raise StoreUnavailable(f"no PostgreSQL: set {VARIABLE}, or install the embedded one")
        yield server
    finally:
        children.stop()


def _today() -> date:
    return datetime.fromtimestamp(wall_ns() // _NS_PER_S, UTC).date()


def _midnight(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"the day was {text!r}; expected YYYY-MM-DD") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
