"""``tradewind forensics``: one process that keeps every decision in the audit trail."""

import asyncio
import contextlib
import logging
import signal
from typing import Annotated

import typer
import uvloop
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import start_http_server

from agents.archive_gaps import Reach
from agents.cli.spoken import spoken_errors
from agents.forensics import FETCH_BYTES, SOURCE, Forensics, Parts, group_of
from agents.topology import prefix_of
from streams.brokers import stack_home, stack_id
from streams.settings import Settings
from tables.archive import run_key
from tables.stores.audit_key import AuditKey
from tables.stores.audit_store import AuditStore
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import server_of


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(forensics)


def forensics(
    bootstrap: Annotated[str, typer.Option(help="Kafka's address, host:port.")],
    run: Annotated[str, typer.Option(help="Run whose decisions are kept; empty: live.")] = "",
    name: Annotated[
        str, typer.Option("--name", help="Stack whose PostgreSQL and key are used.")
    ] = "default",
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0: none.")] = 0,
) -> None:
    """Keep every decision of a run in the signed audit trail until told to stop."""
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
        runner.run(serve(bootstrap, run, name))


class _Letting(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets go of chains whose partitions go to another process."""

    def __init__(self) -> None:
        self.role: Forensics | None = None

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if self.role is not None:
            self.role.forget(sorted(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Do nothing: the role opens what it finds assigned."""


async def serve(bootstrap: str, run: str, name: str) -> None:
    """Run the role until cancelled; SIGTERM cancels it."""
    me = asyncio.current_task()
    if me is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group_of(run),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    letting = _Letting()
    consumer.subscribe([prefix_of(run) + SOURCE], listener=letting)
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
        of = run_key(stack_id(home), run)
        parts = Parts(
            consumer=consumer,
            producer=producer,
            reach=Reach(consumer, admin, group_of(run), prefix_of(run)),
            store=await stack.enter_async_context(AuditStore(server_of(home), of)),
            gaps=await stack.enter_async_context(RowStore(server_of(home))),
            key=AuditKey.of(home),
            home=home,
        )
        letting.role = Forensics(run, of, parts)
        await letting.role.work()
