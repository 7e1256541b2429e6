"""``tradewind clock``: the one clock of a live run; a second one is refused."""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import AIOKafkaProducer
from prometheus_client import start_http_server

from agents.cli.live_plan import LivePlan
from agents.cli.spoken import spoken_errors
from agents.clock import run_clock
from agents.topology import prefix_of
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from streams.settings import Settings
from streams.sources.replay import Clock, ticks_topic
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(clock)


def clock(
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    artifacts: Annotated[Path, typer.Option(help="Directory of models and epochs.")],
    epoch: Annotated[
        str, typer.Option(help="Digest of the epoch to announce; default: the stack's last.")
    ] = "",
    number: Annotated[
        int, typer.Option(help="Number of the epoch; it only rises; default: the last's.")
    ] = 1,
    run: Annotated[str, typer.Option(help="Run whose time this is; empty: live.")] = "",
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0: none.")] = 0,
) -> None:
    """Move the time of a run along with the wall clock until told to stop."""
    with spoken_errors():
        host = Settings.read().web_host
        if not epoch:
            epoch, number = _last(artifacts.parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    lock = FileLock.try_take(artifacts / f"clock-{run or 'live'}.lock")
    if lock is None:
        typer.secho(
            f"A clock of run {run or 'live'} is running; two would close each other's bars.",
            fg=typer.colors.RED,
            err=True,
        )
        raise typer.Exit(1)
    with lock, contextlib.suppress(asyncio.CancelledError):
        if metrics_port:
            start_http_server(metrics_port, host)
        asyncio.run(_main(bootstrap, Epochs(Artifacts(artifacts)), epoch, number, run))


def _last(home: Path) -> tuple[str, int]:
    """Return the epoch that the stack goes live with, and its number.

    Raises
    ------
    SettingsError
        If the stack was never made ready to go live.
    """
    plan = LivePlan.of(home)
    if plan is None:
        raise SettingsError(
            f"no --epoch was given, and {home} has no plan of a live stack; make one: "
            "tradewind prepare --models DIGEST"
        )
    return plan.epochs[-1], len(plan.epochs)


async def _main(bootstrap: str, epochs: Epochs, digest: str, number: int, run: str) -> None:
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    if me is not None:
        loop.add_signal_handler(signal.SIGTERM, me.cancel)
    epoch = epochs.load(digest).epoch
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        source = Clock(producer, ticks_topic(prefix_of(run)), epoch.n_partitions, epoch.clock_id)
        await run_clock(source, epoch, number=number, digest=digest)
    finally:
        await producer.stop()
