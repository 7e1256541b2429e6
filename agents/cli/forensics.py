"""``tradewind forensics``: one process that keeps every decision in the audit trail."""

from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from agents.archive_gaps import Reach
from agents.cli.role_process import run_role, started
from agents.forensics import FETCH_BYTES, SOURCE, Forensics, Parts, group_of
from agents.topology import prefix_of
from streams.brokers import stack_home, stack_id
from streams.kafka_access import kafka
from tables.archive import run_key
from tables.stores.audit_key import AuditKey
from tables.stores.audit_store import AuditStore
from tables.stores.disk import Disk
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
    run_role(bootstrap, lambda: serve(bootstrap, run, name), metrics_port)


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
    """Run the role until cancelled."""
    consumer = AIOKafkaConsumer(
        **kafka(bootstrap),
        group_id=group_of(run),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    letting = _Letting()
    consumer.subscribe([prefix_of(run) + SOURCE], listener=letting)
    home = stack_home(name)
    Disk(home).show()
    of = run_key(stack_id(home), run)
    async with (
        started(bootstrap, consumer) as clients,
        AuditStore(server_of(home), of) as store,
        RowStore(server_of(home)) as gaps,
    ):
        parts = Parts(
            consumer=consumer,
            producer=clients.producer,
            reach=Reach(consumer, clients.admin, group_of(run), prefix_of(run)),
            store=store,
            gaps=gaps,
            key=AuditKey.of(home),
            home=home,
        )
        letting.role = Forensics(run, of, parts)
        await letting.role.work()
