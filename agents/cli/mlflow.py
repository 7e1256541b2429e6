"""``tradewind mlflow``: the stack's MLflow, and how its store comes, goes and stays small."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from agents.cli.admin_act import admin_act
from agents.cli.in_order import in_order
from agents.cli.spoken import spoken_errors
from agents.cli.stores import HOST
from agents.run.progress import shown
from agents.run.stores import database
from agents.run.workers import Children
from models.registry.retention import BEST, DAYS
from streams.brokers import stack_home
from streams.clock import wall_ns
from tables.stores.daily_marks import RETENTION, mark_done
from tables.stores.errors import StoreUnavailable
from tables.stores.migrations import bring_up_to_date
from tables.stores.model_registry import BEST_BY_TAG
from tables.stores.servers import mlflow as server
from tables.stores.servers.postgres import server_of
from tables.stores.tracking.report import Report, keep

MIGRATION, ARCHIVE = "mlflow-migration", "mlflow-archive"

_INTERRUPTED = "Interrupted: the store is as it was; the same command goes on with what is left."
_SHOWN_DIGITS = 16
_NS_PER_MS = 1_000_000

_Name = Annotated[str, typer.Option("--name", help="The stack.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

mlflow = typer.Typer(
    help="The stack's MLflow in the foreground; its store moved, exported, kept small.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Add the group of commands to the program."""
    app.add_typer(mlflow, name="mlflow")


@mlflow.callback()
def serve(
    context: typer.Context,
    name: _Name = "default",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 5_000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; it asks nobody who calls.")
    ] = HOST,
) -> None:
    """Run the stack's MLflow in the foreground, on the stack's PostgreSQL."""
    if context.invoked_subcommand is not None:
        return
    with spoken_errors():
        command = server.prepared(stack_home(name), host, port)
        asyncio.run(bring_up_to_date(server_of(stack_home(name))))
    os.execve(command[0], command, server.environment(stack_home(name)))  # noqa: S606  our own command


@mlflow.command()
def migrate(
    source: Annotated[str, typer.Option("--from", help="sqlite:///FILE, which is only read.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Check everything, change nothing.")] = False,
    anew: Annotated[
        bool, typer.Option(help="Forget a migration that did not come to its end.")
    ] = False,
    as_json: _AsJson = False,
    name: _Name = "default",
) -> None:
    """Move an MLflow store from SQLite into the stack's PostgreSQL; compare every table."""
    with in_order(stderr=True, interrupted=_INTERRUPTED) as console:
        home = stack_home(name)
        with _store(home) as uri, shown(console) as progress:
            from tables.stores.tracking import migration, sqlite_file  # noqa: PLC0415  needs psycopg

            path = sqlite_file.path_of(source, "--from")
            folder = home / MIGRATION
            planned = migration.Migration(path, uri, folder, progress)
            if anew:
                planned.forget()
            if dry_run:
                report = planned.rehearse()
            else:
                with admin_act(home, "mlflow migrate", on=str(path)) as act:
                    report = planned.run()
                    keep(report, folder)
                    act.detail = f"{report.rows} rows"
        _tell(report, as_json=as_json)
        if dry_run:
            console.print(f"Nothing was written: {report.rows:,} rows could be moved.")
            return
        console.print(
            f"{report.rows:,} rows moved and compared, {report.sequences} sequences set. "
            f"{path} is as it was, and so is its backup {report.backup}: pointing MLflow at it "
            "again is the way back; `tradewind mlflow export` takes along what came later."
        )
        console.print(_about(sqlite_file.locations_of(Path(report.backup))))


@mlflow.command()
def export(
    target: Annotated[str, typer.Option("--to", help="sqlite:///FILE, which is new.")],
    *,
    as_json: _AsJson = False,
    name: _Name = "default",
) -> None:
    """Write the store to a SQLite file that MLflow takes as it is; compare every table."""
    interrupted = "Interrupted: there is no file."
    with in_order(stderr=True, interrupted=interrupted) as console:
        with _store(stack_home(name)) as uri, shown(console) as progress:
            from tables.stores.tracking import export as exporting  # noqa: PLC0415  needs psycopg
            from tables.stores.tracking import sqlite_file  # noqa: PLC0415  needs psycopg

            path = sqlite_file.path_of(target, "--to")
            report = exporting.export(uri, path, progress)
        _tell(report, as_json=as_json)
        console.print(f"{report.rows:,} rows written to {path} and compared.")


@mlflow.command()
def retain(
    *,
    dry_run: Annotated[bool, typer.Option(help="Say what would go, change nothing.")] = False,
    best: Annotated[int, typer.Option(min=0, help="Runs kept in each experiment.")] = BEST,
    days: Annotated[int, typer.Option(min=0, help="Days for which every run is kept.")] = DAYS,
    archive: Annotated[
        Path | None, typer.Option(help="Folder of archives; default: the stack's.")
    ] = None,
    as_json: _AsJson = False,
    name: _Name = "default",
) -> None:
    """Archive and delete runs that are neither among the best, nor young, nor in use."""
    interrupted = "Interrupted: what has its archive is finished by the next."
    with in_order(stderr=True, interrupted=interrupted) as console:
        home = stack_home(name)
        with _store(home) as uri, shown(console) as progress:
            from tables.stores.tracking.retirement import (  # noqa: PLC0415  needs psycopg
                Retirement,
                Rule,
            )

            embedded = server.tracking_of(home).provider == "embedded"
            served = server.artifact_folder(home) if embedded else None
            folder = home / ARCHIVE if archive is None else archive.absolute()
            retirement = Retirement(uri, folder, served, progress)
            now_ms, rule = wall_ns() // _NS_PER_MS, Rule(best, days)
            if dry_run:
                report = retirement.rehearse(now_ms, rule)
            else:
                on = f"best {best}, {days} days"
                with admin_act(home, "mlflow retain", on=on) as act:
                    report = retirement.run(now_ms, rule)
                    act.detail = f"{len(report.gone)} of {report.n_runs} runs"
        if not dry_run:
            mark_done(home, RETENTION, wall_ns())
    if as_json:
        typer.echo(json.dumps(report.record()))
        return
    went = "would go" if dry_run else "archived and deleted"
    typer.echo(
        f"{len(report.gone)} of {report.n_runs} runs {went}: {report.freed_bytes:,} bytes of "
        f"artefacts, {report.archive_bytes:,} bytes of archives in {folder}"
    )
    for why, count in report.why_kept().items():
        typer.echo(f"{count} could go and stay: {why}")
    if report.n_unranked:
        typer.echo(
            f"{report.n_unranked} experiments keep all of their runs: they have no tag "
            f"{BEST_BY_TAG} (`max METRIC` or `min METRIC`)"
        )


@contextmanager
def _store(home: Path) -> Iterator[str]:
    """Give the address of a stack's store; its own database is started if it does not run.

    Raises
    ------
    StoreUnavailable
        If MLflow is not installed, or the stack has no database.
    """
    if not server.installed():
        raise StoreUnavailable(f"the package {server.PACKAGE} is not installed (`make setup`)")
    children = Children(home / "logs")
    try:
        tracking = server.tracking_of(home)
        if tracking.provider == "embedded" and database(home, children) is None:
            raise StoreUnavailable(
                f"the stack has no PostgreSQL: set {server.VARIABLE} or DATABASE_URL, or install "
                "the embedded one (`make setup`)"
            )
        yield tracking.uri
    finally:
        children.stop()


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.record()))
        return
    table = Table(caption=f"schema {report.revision}, was {report.revision_before}")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("rows there", justify="right")
    table.add_column("checksum, first digits")
    empty = 0
    for each in report.tables:
        there = "-" if each.target is None else f"{each.target.rows:,}"
        digits = each.source.sha256[:_SHOWN_DIGITS]
        if each.source.rows:
            table.add_row(each.name, f"{each.source.rows:,}", there, digits)
        else:
            empty += 1
    table.add_row(f"{empty} others", "0", "-" if report.tables[0].target is None else "0", "")
    Console().print(table)


def _about(locations: tuple[str, ...]) -> str:
    """Say what is true of the artefacts, which are not moved."""
    local = [where for where in locations if urlsplit(where).scheme in {"", "file"}]
    gone = [where for where in local if not Path(urlsplit(where).path).exists()]
    said = f"Artefacts stay where they are: {len(locations)} experiments, {len(local)} with files."
    if gone:
        said += f" {len(gone)} of these folders are not here, the first is {gone[0]}."
    if any(urlsplit(where).scheme == "mlflow-artifacts" for where in locations):
        said += " What is at mlflow-artifacts: is served by a server: give it the same files."
    return said
