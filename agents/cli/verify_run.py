"""``tradewind verify-run``: what the live stages said, made once more since the last time."""

import asyncio
from typing import Annotated

import typer

from agents.cli.book_access import Run, servers_of
from agents.cli.in_order import in_order
from agents.run.verified_run import VerifiedRun
from streams.brokers import stack_home
from streams.brokers.locks import FileLock
from streams.clock import wall_ns
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.daily_marks import RUN_CHECK, mark_done
from tables.stores.run_checks import anchors_of, keep_check

_LOCK = "run-check.lock"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("verify-run")(verify_run)


def verify_run(
    run: Run = "",
    name: Annotated[str, typer.Option("--name", help="The stack.")] = "default",
) -> None:
    """Fold again what the stages read since the last check, and compare; exit 1 if it differs.

    A run of its own is checked from its beginning, and nothing is remembered of it.
    """
    with in_order() as console:
        home = stack_home(name)
        lock = FileLock.try_take(home / _LOCK)
        if lock is None:
            console.print("Nothing to do: another check of this stack runs.")
            return
        with lock:
            before = {} if run else anchors_of(home)
            epochs = Epochs(Artifacts(home / "artifacts"))
            found, after = asyncio.run(VerifiedRun(epochs, servers_of(name), run).check(before))
            if not run:
                keep_check(home, found, after)
                mark_done(home, RUN_CHECK, wall_ns())
        console.print(f"{found.n_same:,} records came out as they stand on their topics.")
        if found.n_unchecked:
            console.print(f"{found.n_unchecked:,} were not checked.", style="yellow")
        if found.n_differing:
            console.print(f"[red]{found.n_differing:,} do not stand there.")
        if found.first:
            console.print(f"First: {found.first}.")
    raise typer.Exit(1 if found.n_differing else 0)
