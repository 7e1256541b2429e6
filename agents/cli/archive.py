"""``tradewind archive``: one process that keeps what the stages said as SQL rows."""

import asyncio
import contextlib
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import start_http_server

from agents.archive import SOURCES, STAGE, Archive, group_of, spill_folder
from agents.archive_gaps import Reach
from agents.cli.spoken import spoken_errors
from agents.topology import prefix_of
from streams.brokers import stack_home, stack_id
from streams.settings import Settings
from tables.archive import run_key
from tables.stores.artifacts import Artifacts
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import server_of
from tables.stores.spill import Spill


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(archive)


def archive(
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    artifacts: Annotated[Path, typer.Option(help="Directory of models and epochs.")],
    run: Annotated[str, typer.Option(help="Run whose topics are kept; empty: live.")] = "",
    name: Annotated[
        str, typer.Option("--name", help="Stack whose PostgreSQL is used.")
    ] = "default",
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0: none.")] = 0,
) -> None:
    """Keep regimes and weights of a run as SQL rows until told to stop."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    settings = Settings.read()
    logging.getLogger("tradewind").setLevel(settings.log_level)
    with (
        spoken_errors(),
        contextlib.suppress(asyncio.CancelledError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if metrics_port:
            start_http_server(metrics_port, settings.web_host)
        runner.run(_serve(bootstrap, run, Artifacts(artifacts), name))


async def _serve(bootstrap: str, run: str, artifacts: Artifacts, name: str) -> None:
    me = asyncio.current_task()
    if me is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    consumer = AIOKafkaConsumer(
        *(prefix_of(run) + topic for topic in SOURCES),
        bootstrap_servers=bootstrap,
        group_id=group_of(run),
        # After a kill the next one goes on at once, instead of when the broker misses this one.
        group_instance_id=STAGE,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    async with contextlib.AsyncExitStack() as stack:
        await producer.start()
        stack.push_async_callback(producer.stop)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        await admin.start()
        stack.push_async_callback(admin.close)
        home = stack_home(name)
        store = await stack.enter_async_context(RowStore(server_of(home)))
        spill = await stack.enter_async_context(Spill(spill_folder(home, run)))
        of = run_key(stack_id(home), run)
        reach = Reach(consumer, admin, group_of(run), prefix_of(run))
        await Archive(run, of, consumer, producer, store, artifacts, reach, spill).work()
