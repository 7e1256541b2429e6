"""The archive on a played database: waiting, poison, and what is committed when."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import tenacity
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from agents import archive, giving_way
from agents.archive import Archive
from agents.archive_gaps import Gap, Reach
from streams import metrics
from streams.transport import Record
from tables.archive import Rows, RunKey, time_of
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import Conflict, RowStore, Written
from tables.stores.spill import Spill
from tests.builders import MIDNIGHT, MINUTE, bars, epoch, epochs_in, meta

OF = RunKey("paper-1f2e3d4c", "r1")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what has come without giving way to anybody."""
    monkeypatch.setattr(giving_way, "MOMENT_S", 0.0)


class PlayedStore:
    """A database that is away for some calls, refuses a symbol for ever, and has one other."""

    def __init__(self, *, n_away: int = 0, refused: str = "", other: str = "") -> None:
        self.n_away = n_away
        self.refused = refused
        self.other = other
        self.rows: dict[str, list[tuple[Any, ...]]] = {}

    async def put(self, batches: Sequence[Rows]) -> Written:
        """Take all rows or none."""
        if self.n_away:
            self.n_away -= 1
            raise StoreUnavailable("played")
        if any(self.refused and self.refused in row for rows in batches for row in rows.values):
            raise StoreConflict("played")
        conflicts = []
        for number, rows in enumerate(batches):
            keys = [row[: len(rows.table.key)] for row in rows.values if self.other in row]
            conflicts += [Conflict(number, rows.table, 1, key) for key in keys]
            self.rows.setdefault(rows.table.name, []).extend(rows.values)
        return Written({rows.table.name: len(rows.values) for rows in batches}, conflicts)


class PlayedProducer:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, dict[str, bytes]]] = []

    async def send_and_wait(
        self, topic: str, value: bytes, *, key: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        """Note a record."""
        del key
        self.sent.append((topic, value, dict(headers)))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "wait_random_exponential", lambda **_: tenacity.wait_none())


@pytest.fixture
def digest(tmp_path: Path) -> str:
    """Keep an epoch whose document the archive can find."""
    return epochs_in(tmp_path, epoch())[1][0]


def record(digest: str, offset: int, symbol: str = "AAA") -> Record:
    """Build a slice of regime probabilities as the consumer hands it out."""
    slice_ = bars(
        meta(MIDNIGHT + offset * MINUTE, epoch_digest=digest), {symbol: 1.0}, (symbol,)
    ).with_columns({"regime": np.array([[0.5, 0.25, 0.25, 1.5]])})
    return made("r1.regime-probabilities", offset, slice_.encode())


def made(topic: str, offset: int, value: bytes) -> Record:
    """Build a record of a topic."""
    return Record(topic, 0, offset, b"0", value, [])


def opened(
    root: Path,
    store: PlayedStore,
    producer: PlayedProducer,
    spill: Spill | None = None,
    consumer: object = None,
) -> Archive:
    """Open the archive of run r1 on played parts."""
    return Archive(
        "r1",
        OF,
        cast("AIOKafkaConsumer", consumer),
        cast("AIOKafkaProducer", producer),
        cast("RowStore", store),
        Artifacts(root),
        cast("Reach", PlayedReach()),
        cast("Spill", spill),
    )


async def test_keep_when_slices_come_then_makes_rows_and_one_epoch(
    tmp_path: Path, digest: str
) -> None:
    """An epoch's document is kept once, however many slices name it."""
    store = PlayedStore()
    kept = opened(tmp_path, store, PlayedProducer())
    await kept.keep([record(digest, 1)])
    await kept.keep([record(digest, 2), record(digest, 3)])
    assert [row[:4] for row in store.rows["regime_history"]] == [(*OF, "1min", "AAA")] * 3
    assert [row[:4] for row in store.rows["epochs"]] == [(*OF, 1, digest)]


async def test_take_when_the_database_is_away_then_records_wait_on_disk_and_become_rows_once(
    tmp_path: Path, digest: str
) -> None:
    """The call returns, and offsets are committed, when they are durable; order is kept."""
    store = PlayedStore(n_away=5)
    async with Spill(tmp_path / "spill") as spill:
        kept = opened(tmp_path, store, PlayedProducer(), spill)
        await kept.take([record(digest, 1)])
        await kept.take([record(digest, 2), record(digest, 3)])
        assert (store.n_away, spill.n_records, store.rows) == (4, 3, {})
        await synchronised(kept, spill)
        await kept.take([record(digest, 4)])
        assert spill.n_records == 0
    closes = [row[4] for row in store.rows["regime_history"]]
    assert closes == [time_of(MIDNIGHT + n * MINUTE) for n in (1, 2, 3, 4)]


async def synchronised(kept: Archive, spill: Spill) -> None:
    """Let the archive synchronise until nothing waits on disk."""
    task = asyncio.create_task(kept.synchronise())
    async with asyncio.timeout(10):
        while spill.n_records:  # noqa: ASYNC110  a thread empties it
            await asyncio.sleep(0)
    task.cancel()


async def test_synchronise_when_the_archive_was_killed_then_the_next_one_goes_on(
    tmp_path: Path, digest: str
) -> None:
    """What waits on disk has no offset any more that would bring it back."""
    async with Spill(tmp_path / "spill") as spill:
        await opened(tmp_path, PlayedStore(n_away=1), PlayedProducer(), spill).take(
            [record(digest, 1), made("r1.regime-probabilities", 7, b"poison")]
        )
    store, producer = PlayedStore(), PlayedProducer()
    async with Spill(tmp_path / "spill") as spill:
        await synchronised(opened(tmp_path, store, producer, spill), spill)
    assert len(store.rows["regime_history"]) == 1
    ((_, value, headers),) = producer.sent
    assert (value, headers["topic"], headers["offset"], headers["key"]) == (
        b"poison",
        b"r1.regime-probabilities",
        b"7",
        b"0",
    )


async def test_take_when_the_disk_is_full_as_well_then_waits_for_either(
    tmp_path: Path, digest: str
) -> None:
    """The topics are the buffer then: the call does not return, so nothing is committed."""
    store = PlayedStore(n_away=3)
    async with Spill(tmp_path / "spill", limit_bytes=10) as spill:
        await opened(tmp_path, store, PlayedProducer(), spill).take([record(digest, 1)])
        assert spill.n_records == 0
    assert len(store.rows["regime_history"]) == 1


class PlayedConsumer:
    """Gives one record after the other; the group went on without it before the first commit."""

    def __init__(self, *records: Record) -> None:
        self.left = list(records)
        self.commits: list[dict[TopicPartition, int]] = []
        self.refused: Exception | None = None
        self.idle = asyncio.Event()

    def assignment(self) -> set[TopicPartition]:
        """Return nothing: how far the log goes is not asked."""
        return set()

    async def getmany(self, *, timeout_ms: int = 0, **_: int) -> dict[TopicPartition, list[Record]]:
        """Hand out the next record to who waits for one."""
        await asyncio.sleep(0)
        if not timeout_ms:
            return {}
        if not self.left:
            self.idle.set()
            return {}
        one = self.left.pop(0)
        return {TopicPartition(one.topic, one.partition): [one]}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Note what is committed."""
        refused, self.refused = self.refused, None
        if refused is not None:
            raise refused
        self.commits.append(offsets)


class PlayedReach:
    """Nothing is missing."""

    async def gaps(self, _fetched: object) -> list[Gap]:
        """Return no gap."""
        return []

    def after(self, fetched: dict[TopicPartition, list[Record]]) -> dict[TopicPartition, int]:
        """Return what to commit."""
        return {place: records[-1].offset + 1 for place, records in fetched.items()}


@pytest.mark.parametrize("error", [CommitFailedError("played"), IllegalStateError("played")])
async def test_work_when_the_group_went_on_without_it_then_says_so_and_goes_on(
    tmp_path: Path, digest: str, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A broker that stalls for longer than a session ends no role; the rows are durable."""
    store, consumer = PlayedStore(), PlayedConsumer(record(digest, 1), record(digest, 2))
    consumer.refused = error
    async with Spill(tmp_path / "spill") as spill:
        kept = opened(tmp_path, store, PlayedProducer(), spill, consumer)
        task = asyncio.create_task(kept.work())
        idle = asyncio.create_task(consumer.idle.wait())
        async with asyncio.timeout(10):
            await asyncio.wait([task, idle], return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert len(store.rows["regime_history"]) == 2
    assert consumer.commits == [{TopicPartition("r1.regime-probabilities", 0): 3}]
    assert "offsets were not committed, so these records are read again" in caplog.text


async def test_tell_when_the_database_is_away_then_the_hole_is_a_row_later(tmp_path: Path) -> None:
    """A hole that nobody could write down at once is not forgotten."""
    store = PlayedStore(n_away=1)
    async with Spill(tmp_path / "spill") as spill:
        kept = opened(tmp_path, store, PlayedProducer(), spill)
        await kept.tell([Gap("regime-probabilities", 1, 40, 60, None)])
        assert store.rows == {}
        await synchronised(kept, spill)
    ((*where, n_records, kept_until, _),) = store.rows["archive_gaps"]
    assert (where, n_records, kept_until) == ([*OF, "regime-probabilities", 1, 40], 60, None)


async def test_keep_when_a_record_is_no_slice_then_it_is_a_dead_letter_and_the_rest_is_kept(
    tmp_path: Path, digest: str
) -> None:
    """Poison stops nothing and does not vanish."""
    store, producer = PlayedStore(), PlayedProducer()
    poison = made("r1.regime-probabilities", 7, b"poison")
    await opened(tmp_path, store, producer).keep([poison, record(digest, 8)])
    ((topic, value, headers),) = producer.sent
    assert (topic, value) == ("r1.dead-letters", b"poison")
    assert headers["reason"] == b"NOT_A_SLICE"
    assert headers["offset"] == b"7"
    assert len(store.rows["regime_history"]) == 1


async def test_keep_when_sql_refuses_one_record_then_only_that_is_a_dead_letter(
    tmp_path: Path, digest: str
) -> None:
    """A row that breaks a check of the schema does not hold up its neighbours."""
    store, producer = PlayedStore(refused="BAD"), PlayedProducer()
    records = [record(digest, 1), record(digest, 2, "BAD"), record(digest, 3)]
    await opened(tmp_path, store, producer).keep(records)
    assert [headers["reason"] for _, _, headers in producer.sent] == [b"REFUSED_BY_SQL"]
    assert len(store.rows["regime_history"]) == 2
    assert len(store.rows["epochs"]) >= 1


async def test_keep_when_a_row_contradicts_the_database_then_its_record_is_a_dead_letter(
    tmp_path: Path, digest: str
) -> None:
    """Two writers under one name are counted and shown with the first key, never passed over."""
    counter = metrics.ARCHIVE_CONFLICTS.labels("regime_history")
    before = counter._value.get()
    producer = PlayedProducer()
    records = [record(digest, 1), record(digest, 2, "TWIN"), record(digest, 3)]
    await opened(tmp_path, PlayedStore(other="TWIN"), producer).keep(records)
    ((_, value, headers),) = producer.sent
    assert (value, headers["reason"]) == (records[1].value, b"ROW_DIFFERS")
    assert b"regime_history" in headers["detail"]
    assert b"stack paper-1f2e3d4c, run r1, timeframe 1min, symbol TWIN" in headers["detail"]
    assert counter._value.get() == before + 1


async def test_tell_when_the_broker_deleted_records_then_says_counts_and_keeps_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """How many, where and since when: in the log, as a metric, and as a row that stays."""
    counter = metrics.ARCHIVE_LOST_RECORDS.labels("regime-probabilities")
    before, store = counter._value.get(), PlayedStore()
    gap = Gap("regime-probabilities", 1, 40, 60, MIDNIGHT)
    async with Spill(tmp_path / "spill") as spill:
        await opened(tmp_path, store, PlayedProducer(), spill).tell([gap])
    ((*where, n_records, kept_until, _),) = store.rows["archive_gaps"]
    assert where == [*OF, "regime-probabilities", 1, 40]
    assert (n_records, kept_until) == (60, time_of(MIDNIGHT))
    assert counter._value.get() == before + 60
    assert "regime-probabilities, partition 1: 60 records from offset 40 on" in caplog.text
    assert "2024-01-02T00:00:00Z" in caplog.text
