"""Partitions that fall silent: their last rows get a head, whatever the others do."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tenacity
from aiokafka import ConsumerRecord, TopicPartition

from agents import forensics, giving_way
from streams.audit import AuditHead
from tables.audit_chain import Tip
from tests.trails import Trail, record
from tests.unit.agents.test_forensics import PLACE, Played, PlayedConsumer, PlayedStore, batches
from tests.unit.tables.views.played import WRITTEN_MS

BUSY = TopicPartition("r1.trading-decisions", 1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what has come without giving way to anybody."""
    monkeypatch.setattr(giving_way, "MOMENT_S", 0.0)


async def test_work_when_the_topic_falls_silent_then_the_last_rows_get_their_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute without a decision seals what is open, though no later record says the time."""
    monkeypatch.setattr(forensics, "_QUIET_S", 0.0)
    played = Played(tmp_path, PlayedConsumer(*batches(3, 3)), PlayedStore())
    task = asyncio.create_task(played.role.work())
    async with asyncio.timeout(10):
        while not played.store.heads:  # noqa: ASYNC110  the store raises no event
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert played.store.heads == Trail(3).heads


class BusyBeside(PlayedConsumer):
    """Two partitions: one gives three records, the other never stops giving."""

    def __init__(self) -> None:
        super().__init__(*batches(3, 3))
        self.n_given = 0

    def assignment(self) -> set[TopicPartition]:
        """Return both."""
        return {PLACE, BUSY}

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read on from there."""
        if place == PLACE:
            self.at = offset

    async def getmany(
        self, *, timeout_ms: int = 0, **_: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Hand out a record of the busy one, all of the same minute, and what the other has."""
        fetched = await super().getmany(timeout_ms=timeout_ms)
        if not timeout_ms:
            return fetched
        self.n_given += 1
        one = record(self.n_given, partition=BUSY.partition, timestamp=WRITTEN_MS)
        return {**fetched, BUSY: [one]}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Take them."""


async def test_work_when_one_partition_falls_silent_then_it_is_sealed_while_another_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock for each; no head is there before its rows, though the database is away at first."""
    monkeypatch.setattr(forensics, "_QUIET_S", 0.005)
    monkeypatch.setattr(forensics, "wait_random_exponential", lambda **_: tenacity.wait_none())
    store = PlayedStore(n_away=20)
    played = Played(tmp_path, BusyBeside(), store)
    monkeypatch.setattr(store, "tip", lambda *_: _answered(Tip()))
    sealed_after: list[int] = []
    is_sealed = asyncio.Event()
    put = store.put

    async def noted(rows: Sequence[Any], heads: Sequence[AuditHead] = ()) -> None:
        await put(rows, heads)
        written = [row for row in store.rows if row.log_partition == PLACE.partition]
        sealed_after.extend(len(written) for head in heads if head.partition == PLACE.partition)
        if sealed_after:
            is_sealed.set()

    monkeypatch.setattr(store, "put", noted)
    task = asyncio.create_task(played.role.work())
    async with asyncio.timeout(10):
        await is_sealed.wait()
    assert sealed_after == [3]
    assert [head for head in store.heads if head.partition == PLACE.partition] == Trail(3).heads
    assert played.consumer.n_given > 1
    task.cancel()
    await asyncio.wait([task])


async def _answered(tip: Tip) -> Tip:
    return tip
