"""``tradewind checkpoint``: keep where a run stands, so that its decisions can be made again."""

import typer

from agents.cli import book_access
from agents.cli.spoken import spoken_errors
from agents.run.checkpoint import make
from streams.brokers import stack_home
from streams.clock import wall_ns
from streams.timestamps import format_ns
from tables.stores.daily_marks import CHECKPOINT, mark_done


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(checkpoint)


def checkpoint(name: book_access.Stack = "default", run: book_access.Run = "") -> None:
    """Keep where a run stands: ``explain --recompute`` folds from there on."""
    with spoken_errors():
        home = stack_home(name)
        made, dropped = make(home, book_access.servers_of(name), run)
        if not run:
            mark_done(home, CHECKPOINT, wall_ns())
    size_mb = sum(len(state) for kept in made.states.values() for _, state in kept.values()) / 1e6
    typer.echo(
        f"Run {run or 'live'} is kept as of {format_ns(made.close_ns)}, {size_mb:.1f} MB; "
        f"{len(dropped)} older ones serve nothing any more and are deleted."
    )
