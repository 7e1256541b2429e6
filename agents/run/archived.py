"""Waiting for what keeps a run in SQL: everything that was said is a row."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from agents import archive, forensics
from agents.run.drive import Run
from streams.brokers import stack_id
from streams.clock import monotonic_s
from streams.errors import WorkerFailedError
from streams.kafka_access import kafka
from tables import account_rows
from tables.archive import TABLES, run_key
from tables.audit_rows import AUDIT_RECORDS
from tables.explanations import EXPLANATIONS
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tables.stores.spilled import waiting

_POLL_S = 0.2


async def archived(run: Run, server: PostgresServer, *, patience_s: float) -> dict[str, int]:
    """Wait until the archive has kept all slices of a run; return its rows by table.

    Raises
    ------
    WorkerFailedError
        If the archive made no progress for ``patience_s``.
    """
    await _read(run, archive.SOURCES, archive.group_of(run.name), patience_s)
    await _synchronised(archive.spill_folder(run.home, run.name), patience_s)
    tables = (*TABLES, *account_rows.TABLES, EXPLANATIONS)
    async with RowStore(server) as store:
        of = run_key(stack_id(run.home), run.name)
        return {table.name: await store.count(table, of) for table in tables}


async def audited(run: Run, server: PostgresServer, *, patience_s: float) -> int:
    """Wait until all decisions of a run are in the audit trail; return how many rows it has.

    Raises
    ------
    WorkerFailedError
        If it made no progress for ``patience_s``.
    """
    await _read(run, (forensics.SOURCE,), forensics.group_of(run.name), patience_s)
    async with RowStore(server) as store:
        return await store.count(AUDIT_RECORDS, run_key(stack_id(run.home), run.name))


async def _read(run: Run, sources: Sequence[str], group: str, patience_s: float) -> None:
    """Wait until a group has read some topics to their present ends."""
    consumer = AIOKafkaConsumer(**kafka(run.bootstrap_servers))
    admin = AIOKafkaAdminClient(**kafka(run.bootstrap_servers))
    await consumer.start()
    await admin.start()
    try:
        ends = await consumer.end_offsets(
            [
                TopicPartition(run.prefix + topic, partition)
                for topic in sources
                for partition in range(run.epoch.n_partitions)
            ]
        )
        await _caught_up(admin, group, ends, patience_s)
    finally:
        await admin.close()
        await consumer.stop()


async def _caught_up(
    admin: AIOKafkaAdminClient, group: str, ends: dict[TopicPartition, int], patience_s: float
) -> None:
    left, since_s = sum(ends.values()), monotonic_s()
    while left:
        kept = await admin.list_consumer_group_offsets(group)
        done = {where: kept[where].offset if where in kept else 0 for where in ends}
        now = sum(max(end - max(done[where], 0), 0) for where, end in ends.items())
        if now < left:
            left, since_s = now, monotonic_s()
        elif monotonic_s() - since_s > patience_s:
            raise WorkerFailedError(f"{group} stands still with {left} records to keep")
        await asyncio.sleep(_POLL_S)


async def _synchronised(folder: Path, patience_s: float) -> None:
    """Wait until nothing waits on disk any more."""
    left, since_s = -1, monotonic_s()
    while now := await asyncio.to_thread(lambda: sum(1 for _ in waiting(folder))):
        if now != left:
            left, since_s = now, monotonic_s()
        elif monotonic_s() - since_s > patience_s:
            raise WorkerFailedError(f"{left} records wait in {folder}, and the database takes none")
        await asyncio.sleep(_POLL_S)
