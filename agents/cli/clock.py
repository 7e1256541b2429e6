"""``tradewind clock``: the one clock of a live run; a second one is refused."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client import start_http_server

from agents.cli.live_plan import LivePlan
from agents.cli.spoken import spoken_errors
from agents.cli.turning import Turning
from agents.clock import Announced, follow, run_clock
from agents.log_lines import log_lines
from agents.loop_watch import loop_watched
from agents.topology import prefix_of
from agents.traces import Spans, spans_to
from streams.brokers.given import await_broker
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from streams.kafka_access import kafka
from streams.settings import Settings
from streams.sources.replay import Clock, ticks_topic
from streams.topics import ROLLOUT_STAGES
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tables.stores.disk import Disk

# Whatever the plan has last.
_PLANS = Announced(1, "")


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
    home = artifacts.parent
    with spoken_errors():
        settings = Settings.read()
        spans = spans_to(settings.traces_url, "clock")
        begun = Announced(number, epoch)
        if not run:
            begun = _last(home, begun)
    log_lines(settings)
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
            start_http_server(metrics_port, settings.web_host)
        with spoken_errors():
            await_broker(bootstrap)
        Disk(artifacts).show()
        epochs = Epochs(Artifacts(artifacts))
        turning = None if run else Turning(home, epochs)
        beating = Beating(begun, run, turning, spans)
        asyncio.run(_main(bootstrap, epochs, beating))


def _last(home: Path, asked: Announced = _PLANS) -> Announced:
    """Return the epoch that a stack decides by: its plan's, unless a later one is asked for.

    A rollout may have gone on since the process that asks was set up.

    Raises
    ------
    SettingsError
        If none is given and the stack was never made ready to go live.
    """
    plan = LivePlan.of(home)
    if plan is None:
        if asked.digest:
            return asked
        raise SettingsError(
            f"no --epoch was given, and {home} has no plan of a live stack; make one: "
            "tradewind prepare --models DIGEST"
        )
    if asked.digest and asked.number >= len(plan.epochs):
        return asked
    return Announced(len(plan.epochs), plan.epochs[-1])


class Beating(NamedTuple):
    """Which epoch is announced first, of which run, who turns rollouts, and who makes spans."""

    begun: Announced
    run: str
    turning: Turning | None
    spans: Spans | None


async def _main(bootstrap: str, epochs: Epochs, of: Beating) -> None:
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    if me is not None:
        loop.add_signal_handler(signal.SIGTERM, me.cancel)
    epoch = epochs.load(of.begun.digest).epoch
    async with contextlib.AsyncExitStack() as stack:
        producer = AIOKafkaProducer(**kafka(bootstrap), enable_idempotence=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        topic = ticks_topic(prefix_of(of.run))
        source = Clock(producer, topic, epoch.n_partitions, epoch.clock_id)
        if of.spans is not None:
            source.traced = of.spans.begin
            stack.callback(of.spans.close)
        changes: asyncio.Queue[Announced] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            if of.turning is not None:
                consumer = await _stages(bootstrap, stack)
                tasks.create_task(follow(consumer, of.turning.turn, changes))
            beating = run_clock(
                source, epoch, number=of.begun.number, digest=of.begun.digest, changes=changes
            )
            tasks.create_task(beating)
            stack.enter_context(loop_watched())


async def _stages(bootstrap: str, stack: contextlib.AsyncExitStack) -> AIOKafkaConsumer:
    """Read ``rollout-stages`` from its beginning: it is compacted, and what was done is known."""
    consumer = AIOKafkaConsumer(
        ROLLOUT_STAGES.name,
        **kafka(bootstrap),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    stack.push_async_callback(consumer.stop)
    return consumer
