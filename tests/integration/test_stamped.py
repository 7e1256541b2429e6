"""The stamped table on a real broker: what the changelog holds is what comes back, newest first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import faust
import pytest
from faust.types import TP, EventT

from streams.transport import Outgoing, producer_of
from tables.stamped import Stamped, StampedTable
from tests.integration.small_app import batches, created, running, small_app, until

pytestmark = pytest.mark.broker


class Keeper:
    """An app with one table; the agent keeps the event in whose name the table is used."""

    def __init__(self, servers: str, name: str, data: Path) -> None:
        self.app = small_app(servers, name, data)
        table = self.app.Table(
            "states",
            key_type=bytes,
            value_type=bytes,
            partitions=2,
            options={"driver": "rocksdict"},
        )
        assert isinstance(table, StampedTable)
        self.table = table
        self.events: dict[int, EventT[Any]] = {}
        self.app.agent(batches(self.app, f"{name}-in"), name="keeper")(self.run)

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Keep the last event of each partition."""
        async for event in stream.events():
            self.events[event.message.partition] = event

    async def write(self, partition: int, stamp: int, state: bytes) -> None:
        """Write a state in the name of a partition's event."""
        await self.table.write(self.events[partition], b"k", Stamped(stamp, state))

    def read(self, partition: int) -> Stamped | None:
        """Read a partition's state."""
        return self.table.read(self.events[partition], b"k")


@asynccontextmanager
async def keeping(servers: str, name: str, data: Path) -> AsyncIterator[Keeper]:
    """Run the app; an event of each partition is there to use the table with."""
    keeper = Keeper(servers, name, data)
    async with running(keeper.app):
        sent = [Outgoing(f"{name}-in", b"k", b"go", [], partition) for partition in (0, 1)]
        await producer_of(keeper.app).send_all(sent)
        await until(lambda: keeper.events.keys() == {0, 1})
        yield keeper


async def declared(servers: str, name: str) -> str:
    """Create the app's topics and return the name of the table's changelog."""
    changelog = f"{name}-states-changelog"
    await created(servers, f"{name}-in", changelog)
    return changelog


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_table_when_the_worker_restarts_then_reads_what_it_wrote(
    broker: str, tmp_path: Path, *, lost: bool
) -> None:
    """Each partition finds its own state again, from its database or from the changelog alone."""
    name = f"st-restart-{lost}"
    changelog = await declared(broker, name)
    async with keeping(broker, name, tmp_path / "a") as keeper:
        assert keeper.read(0) is None
        await keeper.write(0, 3, b"old")
        await keeper.write(0, 5, b"zero")
        await keeper.write(1, 9, b"one")
        assert keeper.read(0) == Stamped(5, b"zero")
        assert keeper.table.data.persisted_offset(TP(changelog, 0)) == 1
    async with keeping(broker, name, tmp_path / ("b" if lost else "a")) as again:
        assert again.read(0) == Stamped(5, b"zero")
        assert again.read(1) == Stamped(9, b"one")
        assert again.table.data.persisted_offset(TP(changelog, 0)) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_recovery_when_a_sleeper_wrote_last_then_the_newer_state_comes_back(
    broker: str, tmp_path: Path, *, lost: bool
) -> None:
    """An older stamp behind a newer one in the log, from a worker that woke up too late."""
    name = f"st-sleeper-{lost}"
    changelog = await declared(broker, name)
    async with keeping(broker, name, tmp_path / "a") as keeper:
        await keeper.write(0, 7, b"new")
        asleep = [
            Outgoing(changelog, b"k", Stamped(stamp, b"asleep").encode(), [], 0) for stamp in (6, 2)
        ]
        await producer_of(keeper.app).send_all(asleep)
    async with keeping(broker, name, tmp_path / ("b" if lost else "a")) as again:
        assert again.read(0) == Stamped(7, b"new")
        # It stands behind the sleeper's two again, where compaction leaves it.
        assert again.table.data.persisted_offset(TP(changelog, 0)) == 3
        await again.write(0, 8, b"newer")
        assert again.read(0) == Stamped(8, b"newer")


async def test_recovery_when_the_sleeper_wrote_itself_then_the_newer_state_comes_back(
    broker: str, tmp_path: Path
) -> None:
    """Its own write does not count its database past what the owner wrote while it slept."""
    changelog = await declared(broker, "st-woken")
    async with keeping(broker, "st-woken", tmp_path) as keeper:
        await keeper.write(0, 2, b"before")
        owners = Outgoing(changelog, b"k", Stamped(7, b"owner's").encode(), [], 0)
        await producer_of(keeper.app).send_all([owners])
        await keeper.write(0, 3, b"late")
        assert keeper.table.data.persisted_offset(TP(changelog, 0)) == 0
    async with keeping(broker, "st-woken", tmp_path) as again:
        assert again.read(0) == Stamped(7, b"owner's")
        assert again.table.data.persisted_offset(TP(changelog, 0)) == 3


async def test_write_when_the_changelog_refuses_then_the_database_stays_behind_it(
    broker: str, tmp_path: Path
) -> None:
    """A state too large for its topic is an error, and nothing of it is kept."""
    await declared(broker, "st-refused")
    async with keeping(broker, "st-refused", tmp_path) as keeper:
        await keeper.write(0, 1, b"small")
        with pytest.raises(Exception, match="MessageSizeTooLarge"):
            await keeper.write(0, 2, bytes(2_000_000))
        assert cast(Stamped, keeper.read(0)).state == b"small"
