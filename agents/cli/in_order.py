"""A command that runs for a while: it ends in order, and says our own errors in one line."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from agents.cli.spoken import spoken_errors

STOPPED = "Interrupted: everything that was started has been stopped."


@contextmanager
def in_order(*, stderr: bool = False, interrupted: str = STOPPED) -> Iterator[Console]:
    """Give a console; end in order on Ctrl-C and SIGTERM; say our own errors in one line."""
    console = Console(stderr=stderr, highlight=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with spoken_errors():
            yield console
    except KeyboardInterrupt:
        console.print(interrupted)
        raise typer.Exit(130) from None
