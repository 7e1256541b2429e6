"""``tradewind archive``: one process that keeps what the stages said as SQL rows.

Beside it orders are held once more against the limits, as a reader can who is not the stage risk.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer

from agents import recheck
from agents.archive import SOURCES, STAGE, Archive, group_of, spill_folder
from agents.archive_gaps import Reach
from agents.cli.role_process import run_role, started
from agents.recheck import Rechecking
from agents.topology import prefix_of
from streams.brokers import stack_home, stack_id
from streams.kafka_access import kafka
from streams.settings import Settings
from tables.archive import run_key
from tables.stores.artifacts import Artifacts
from tables.stores.disk import Disk
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
    run_role(bootstrap, lambda: _serve(bootstrap, run, Artifacts(artifacts), name), metrics_port)


async def _serve(bootstrap: str, run: str, artifacts: Artifacts, name: str) -> None:
    consumer = AIOKafkaConsumer(
        *(prefix_of(run) + topic for topic in SOURCES),
        **kafka(bootstrap),
        group_id=group_of(run),
        # After a kill the next one goes on at once, instead of when the broker misses this one.
        group_instance_id=STAGE,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    home = stack_home(name)
    disk = Disk(home, Settings.read().disk_full_fraction)
    disk.show()
    async with (
        started(bootstrap, consumer) as clients,
        RowStore(server_of(home)) as store,
        Spill(spill_folder(home, run), disk=disk) as spill,
        _orders(bootstrap, run) as orders,
        asyncio.TaskGroup() as tasks,
    ):
        of = run_key(stack_id(home), run)
        reach = Reach(consumer, clients.admin, group_of(run), prefix_of(run))
        kept = Archive(run, of, consumer, clients.producer, store, artifacts, reach, spill)
        tasks.create_task(kept.work())
        tasks.create_task(Rechecking(orders).work())


def _orders(bootstrap: str, run: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *(prefix_of(run) + topic for topic in recheck.SOURCES),
        **kafka(bootstrap),
        group_id=recheck.group_of(run),
        group_instance_id=recheck.STAGE,
        enable_auto_commit=True,
        auto_offset_reset="latest",
    )
