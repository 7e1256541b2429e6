"""The archive on a played database: waiting, poison, and what is committed when."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import tenacity
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from agents import archive
from agents.archive import Archive
from agents.archive_gaps import Gap, Reach
from streams import metrics
from tables.archive import Rows, RunKey, time_of
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import Conflict, RowStore, Written
from tests.builders import MIDNIGHT, MINUTE, bars, epoch, epochs_in, meta

OF = RunKey("paper-1f2e3d4c", "r1")


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


def record(digest: str, offset: int, symbol: str = "AAA") -> ConsumerRecord:
    """Build a slice of regime probabilities as the consumer hands it out."""
    slice_ = bars(
        meta(MIDNIGHT + offset * MINUTE, epoch_digest=digest), {symbol: 1.0}, (symbol,)
    ).with_columns({"regime": np.array([[0.5, 0.25, 0.25, 1.5]])})
    return made("r1.regime-probabilities", offset, slice_.encode())


def made(topic: str, offset: int, value: bytes) -> ConsumerRecord:
    """Build a record of a topic."""
    return cast(
        "ConsumerRecord",
        SimpleNamespace(topic=topic, partition=0, offset=offset, key=b"0", value=value),
    )


def opened(root: Path, store: PlayedStore, producer: PlayedProducer) -> Archive:
    """Open the archive of run r1 on played parts."""
    return Archive(
        "r1",
        OF,
        cast("AIOKafkaConsumer", None),
        cast("AIOKafkaProducer", producer),
        cast("RowStore", store),
        Artifacts(root),
        cast("Reach", None),
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


async def test_keep_when_the_database_is_away_then_waits_and_loses_nothing(
    tmp_path: Path, digest: str
) -> None:
    """The call returns, and offsets are committed, only when the rows are durable."""
    store = PlayedStore(n_away=5)
    await opened(tmp_path, store, PlayedProducer()).keep([record(digest, 1)])
    assert len(store.rows["regime_history"]) == 1


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
    await opened(tmp_path, store, PlayedProducer()).tell([gap])
    ((*where, n_records, kept_until, _),) = store.rows["archive_gaps"]
    assert where == [*OF, "regime-probabilities", 1, 40]
    assert (n_records, kept_until) == (60, time_of(MIDNIGHT))
    assert counter._value.get() == before + 60
    assert "regime-probabilities, partition 1: 60 records from offset 40 on" in caplog.text
    assert "2024-01-02T00:00:00Z" in caplog.text
