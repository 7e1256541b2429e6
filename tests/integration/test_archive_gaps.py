"""The archive on a real broker and database: what retention took is a row, the rest is kept."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.archive import SOURCES, Archive, group_of
from agents.archive_gaps import Reach
from agents.topology import prefix_of
from streams.topics import REGIME_PROBABILITIES, declare
from tables.archive import REGIME_HISTORY, RunKey
from tables.stores.artifacts import Artifacts
from tables.stores.row_store import RowStore
from tables.stores.servers.postgres import PostgresServer
from tables.stores.spill import Spill
from tests.builders import MIDNIGHT, MINUTE, bars, epoch, epochs_in, meta

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

RUN = "gaps"
OF = RunKey("paper-1f2e3d4c", RUN)
PLACE = TopicPartition(prefix_of(RUN) + REGIME_PROBABILITIES.name, 0)


class Life:
    """One life of the archive: it keeps what is there and is killed."""

    def __init__(self, broker: str, server: PostgresServer, root: Path) -> None:
        self.broker = broker
        self.server = server
        self.artifacts = Artifacts(root)
        self.folder = root / "spill"

    async def until_kept(self, n_rows: int) -> None:
        """Run it until so many rows are there."""
        consumer = AIOKafkaConsumer(
            *(prefix_of(RUN) + topic for topic in SOURCES),
            bootstrap_servers=self.broker,
            group_id=group_of(RUN),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        producer = AIOKafkaProducer(bootstrap_servers=self.broker)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await asyncio.gather(consumer.start(), producer.start(), admin.start())
        try:
            async with (
                RowStore(self.server) as store,
                RowStore(self.server) as reader,
                Spill(self.folder) as spill,
            ):
                reach = Reach(consumer, admin, group_of(RUN), prefix_of(RUN))
                archive = Archive(RUN, OF, consumer, producer, store, self.artifacts, reach, spill)
                task = asyncio.create_task(archive.work())
                async with asyncio.timeout(30):
                    while await reader.count(REGIME_HISTORY, OF) < n_rows:  # noqa: ASYNC110  rows raise no event
                        await asyncio.sleep(0.1)
                # The commit follows the rows.
                await asyncio.sleep(1.0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        finally:
            await asyncio.gather(consumer.stop(), producer.stop(), admin.close())


async def said(broker: str, digest: str, first: int, last: int) -> None:
    """Send slices of one symbol."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for n in range(first, last + 1):
            slice_ = bars(
                meta(MIDNIGHT + n * MINUTE, epoch_digest=digest), {"AAA": 1.0}, ("AAA",)
            ).with_columns({"regime": np.array([[0.5, 0.25, 0.25, 1.5]])})
            sent = await producer.send_and_wait(PLACE.topic, slice_.encode(), partition=0)
            assert sent.offset == n
    finally:
        await producer.stop()


async def test_archive_when_the_broker_deleted_what_it_had_not_kept_then_the_hole_is_a_row(
    broker: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Away for 6 records of which 4 were deleted: 4 are told, and where the history stops."""
    digest = epochs_in(tmp_path, epoch())[1][0]
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await declare(admin, prefix=prefix_of(RUN), n_partitions=1, replication=1)
        life = Life(broker, postgres, tmp_path)
        await said(broker, digest, 0, 4)
        await life.until_kept(5)
        await said(broker, digest, 5, 10)
        await admin.delete_records({PLACE: RecordsToDelete(before_offset=9)})
        await life.until_kept(7)
    finally:
        await admin.close()
    connection = await asyncpg.connect(postgres.url)
    rows = await connection.fetch("SELECT * FROM tradewind.archive_gaps WHERE run = $1", RUN)
    await connection.close()
    (gap,) = rows
    assert (gap["stack"], gap["topic"], gap["log_partition"]) == (
        OF.stack,
        "regime-probabilities",
        0,
    )
    assert (gap["first_offset"], gap["n_records"]) == (5, 4)
    assert gap["kept_until"] < gap["noticed_at"]
