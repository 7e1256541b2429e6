"""The role on a played broker and database: what is durable when, and what is said of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import tenacity
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError

from agents import forensics, giving_way
from agents.archive_gaps import Gap
from agents.forensics import Forensics, Parts
from streams import metrics
from streams.audit import AuditHead, read_head
from tables.archive import Rows
from tables.audit_chain import Kept, Tip
from tables.audit_rows import AuditRow
from tables.stores.audit_key import HeadFile
from tables.stores.audit_store import ChainMoved
from tables.stores.daily_marks import SHELF, mark_done
from tables.stores.errors import StoreConflict, StoreUnavailable
from tests.trails import OF, Trail, key, record

PLACE = TopicPartition("r1.trading-decisions", 0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what has come without giving way to anybody."""
    monkeypatch.setattr(giving_way, "MOMENT_S", 0.0)


class PlayedConsumer:
    """A partition whose records come in some batches; then nothing does."""

    def __init__(self, *batches: Sequence[ConsumerRecord]) -> None:
        self.batches = list(batches)
        self.at = 0
        self.end = max((r.offset + 1 for batch in batches for r in batch), default=0)
        self.commits: list[int] = []
        self.refuses_commits = False
        self.idle = asyncio.Event()

    def assignment(self) -> set[TopicPartition]:
        """Return the one partition."""
        return {PLACE}

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where it ends."""
        return dict.fromkeys(places, self.end)

    def seek(self, _place: TopicPartition, offset: int) -> None:
        """Read on from there."""
        self.at = offset

    def highwater(self, _place: TopicPartition) -> int:
        """Return where it ends."""
        return self.end

    async def getmany(
        self, *, timeout_ms: int = 0, **_: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Hand out the next batch to who waits for one."""
        await asyncio.sleep(0)
        if not timeout_ms:
            return {}
        for batch in self.batches:
            left = [each for each in batch if each.offset >= self.at]
            if left:
                self.at = left[-1].offset + 1
                return {PLACE: left}
        self.idle.set()
        return {}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Note what is committed."""
        if self.refuses_commits:
            raise CommitFailedError
        self.commits.append(offsets[PLACE])


class PlayedReach:
    """Says once that records are missing, if it is told to."""

    def __init__(self, *gaps: Gap) -> None:
        self.left = list(gaps)

    async def gaps(self, _fetched: object) -> list[Gap]:
        """Return what is missing."""
        left, self.left = self.left, []
        return left

    def after(self, fetched: dict[TopicPartition, list[ConsumerRecord]]) -> dict[Any, int]:
        """Return what to commit."""
        return {place: records[-1].offset + 1 for place, records in fetched.items()}


class PlayedStore:
    """A trail in memory, away for some calls, or written by somebody else once."""

    def __init__(self, *, n_away: int = 0, n_moved: int = 0, refuses: bool = False) -> None:
        self.rows: list[AuditRow] = []
        self.heads: list[AuditHead] = []
        self.gaps: list[Rows] = []
        self.n_away = n_away
        self.n_moved = n_moved
        self.refuses = refuses

    async def put(self, rows: Sequence[Any], heads: Sequence[AuditHead] = ()) -> None:
        """Take rows, of the trail or of gaps."""
        if self.n_away:
            self.n_away -= 1
            raise StoreUnavailable("played")
        if rows and isinstance(rows[0], Rows):
            self.gaps += rows
            return
        if self.refuses:
            raise StoreConflict("played")
        if self.n_moved:
            self.n_moved -= 1
            raise ChainMoved("played")
        self.rows += rows
        self.heads += heads

    async def tip(self, _partition: int, known: AuditHead | None) -> Tip:
        """Return where it ends."""
        return Tip(self.heads[-1] if self.heads else known)

    async def heads_after(self, _partition: int, number: int) -> list[AuditHead]:
        """Return the heads behind one."""
        return [head for head in self.heads if head.number > number]


class PlayedProducer:
    """Notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    async def send_and_wait(self, topic: str, value: bytes, **_: Any) -> None:  # noqa: ANN401  as the driver's
        """Note a record."""
        self.sent.append((topic, value))

    def of(self, topic: str) -> list[bytes]:
        """Return what was sent to a topic."""
        return [value for name, value in self.sent if name == topic]


class Played:
    """A role and its played parts."""

    def __init__(
        self, home: Path, consumer: PlayedConsumer, store: PlayedStore, *gaps: Gap
    ) -> None:
        self.consumer, self.store, self.producer = consumer, store, PlayedProducer()
        self.home = home
        parts = Parts(
            consumer=consumer,
            producer=self.producer,
            reach=cast("Any", PlayedReach(*gaps)),
            store=cast("Any", store),
            gaps=cast("Any", store),
            key=key(),
            home=home,
        )
        self.role = Forensics("r1", OF, parts)

    async def until_idle(self) -> None:
        """Run the role until it has read all, then end it."""
        task = asyncio.create_task(self.role.work())
        idle = asyncio.create_task(self.consumer.idle.wait())
        async with asyncio.timeout(10):
            await asyncio.wait([task, idle], return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        if not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forensics, "wait_random_exponential", lambda **_: tenacity.wait_none())


def batches(n_records: int, size: int) -> list[list[ConsumerRecord]]:
    """Cut a log into batches."""
    log = [record(offset) for offset in range(n_records)]
    return [log[at : at + size] for at in range(0, n_records, size)]


async def test_work_when_decisions_come_then_rows_heads_file_topic_and_offsets_agree(
    tmp_path: Path,
) -> None:
    """What is in SQL is what a single pass gives, and every head is in all three places."""
    played = Played(tmp_path, PlayedConsumer(*batches(25, 7)), PlayedStore())
    await played.until_idle()
    whole = Trail(25)
    assert played.store.rows == whole.rows
    assert played.store.heads == whole.heads
    assert [read_head(raw) for raw in played.producer.of("r1.audit-heads")] == whole.heads
    file = HeadFile(tmp_path, OF.run, 0)
    assert file.path.read_bytes().splitlines() == [head.canonical() for head in whole.heads]
    assert played.consumer.commits == [7, 14, 21, 25]


async def test_work_when_the_database_is_away_then_waits_and_commits_nothing_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Decisions stay in Kafka until their rows are durable, and the log says why."""
    played = Played(tmp_path, PlayedConsumer(*batches(5, 5)), PlayedStore(n_away=3))
    await played.until_idle()
    assert played.store.rows == Trail(5).rows
    assert played.consumer.commits == [5]
    assert "the database is away, decisions wait in Kafka" in caplog.text


async def test_work_when_the_database_stays_away_then_its_lag_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm on it must fire in the very stall that it is for."""
    monkeypatch.setattr(forensics, "_WATCH_S", 0.01)
    monkeypatch.setattr(forensics, "wait_random_exponential", lambda **_: tenacity.wait_fixed(0.01))
    played = Played(tmp_path, PlayedConsumer(*batches(25, 5)), PlayedStore(n_away=1_000))
    task = asyncio.create_task(played.role.work())
    await asyncio.sleep(0.1)
    assert metrics.AUDIT_LAG_RECORDS.labels(0)._value.get() == 25
    assert metrics.AUDIT_SHELF_SECONDS._value.get() == 0
    mark_done(tmp_path, SHELF, 1_767_387_600 * 10**9 + 5)
    played.store.n_away = 0
    await asyncio.sleep(0.2)
    assert metrics.AUDIT_LAG_RECORDS.labels(0)._value.get() == 0
    assert metrics.AUDIT_SHELF_SECONDS._value.get() == 1_767_387_600
    task.cancel()
    await asyncio.wait([task])


async def test_work_when_somebody_else_wrote_then_asks_again_and_leaves_no_hole(
    tmp_path: Path,
) -> None:
    """A second process of before a rebalance costs a question, and neither rows nor links."""
    played = Played(tmp_path, PlayedConsumer(*batches(25, 7)), PlayedStore(n_moved=2))
    await played.until_idle()
    assert played.store.rows == Trail(25).rows
    assert played.store.heads == Trail(25).heads


async def test_work_when_begun_again_then_republishes_what_a_crash_left_unsaid(
    tmp_path: Path,
) -> None:
    """Heads that are in SQL and not in the file or on the topic follow at the next start."""
    whole, store = Trail(25), PlayedStore()
    store.rows, store.heads = whole.rows[:20], whole.heads[:2]
    HeadFile(tmp_path, OF.run, 0).append(whole.heads[:1])
    played = Played(tmp_path, PlayedConsumer(*batches(25, 25)), store)
    await played.until_idle()
    assert store.rows == whole.rows
    assert [read_head(raw) for raw in played.producer.of("r1.audit-heads")] == whole.heads
    lines = HeadFile(tmp_path, OF.run, 0).path.read_bytes().splitlines()
    assert lines == [head.canonical() for head in whole.heads]


async def test_work_when_a_record_is_no_decision_then_it_is_kept_and_a_dead_letter(
    tmp_path: Path,
) -> None:
    """Poison stops nothing, is in the trail, and is told."""
    log = [record(0), record(1, b"poison"), record(2)]
    played = Played(tmp_path, PlayedConsumer(log), PlayedStore())
    await played.until_idle()
    assert [row.value for row in played.store.rows] == [each.value for each in log]
    assert played.producer.of("r1.dead-letters") == [b"poison"]


async def test_work_when_sql_differs_then_counts_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that was changed under an open head is an alarm at the next start."""
    before = metrics.AUDIT_CONFLICTS._value.get()
    store = PlayedStore()

    async def changed(*_: object) -> Tip:
        return Tip(None, {1: Kept(1, bytes(32))})

    monkeypatch.setattr(store, "tip", changed)
    played = Played(tmp_path, PlayedConsumer(*batches(3, 3)), store)
    await played.until_idle()
    assert metrics.AUDIT_CONFLICTS._value.get() == before + 1
    assert len(played.producer.of("r1.dead-letters")) == 1


async def test_work_when_the_topic_was_made_anew_then_refuses(tmp_path: Path) -> None:
    """Fresh topics under an old stack would be taken for old rows."""
    store = PlayedStore()
    store.heads = Trail(25).heads
    played = Played(tmp_path, PlayedConsumer(*batches(3, 3)), store)
    with pytest.raises(StoreConflict, match="ends at 3, and the audit trail has it up to 25"):
        await played.until_idle()


async def test_work_when_sql_refuses_a_row_then_ends_and_seals_nothing_unwritten(
    tmp_path: Path,
) -> None:
    """No head vouches for rows that are not there."""
    played = Played(tmp_path, PlayedConsumer(*batches(3, 3)), PlayedStore(refuses=True))
    with pytest.raises(StoreConflict, match="played"):
        await played.until_idle()
    assert played.store.heads == []
    assert played.consumer.commits == []


async def test_work_when_the_broker_deleted_records_then_the_hole_is_a_row(tmp_path: Path) -> None:
    """As the archive does it."""
    gap = Gap("trading-decisions", 0, 3, 5, None)
    played = Played(tmp_path, PlayedConsumer(*batches(2, 2)), PlayedStore(), gap)
    await played.until_idle()
    ((row,),) = (rows.values for rows in played.store.gaps)
    assert row[:6] == (*OF, "trading-decisions", 0, 3, 5)


async def test_work_when_a_commit_is_refused_then_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a rebalance the rows are there and somebody else commits."""
    consumer = PlayedConsumer(*batches(4, 2))
    consumer.refuses_commits = True
    played = Played(tmp_path, consumer, PlayedStore())
    await played.until_idle()
    assert played.store.rows == Trail(4).rows
    assert "offsets were not committed" in caplog.text


async def test_forget_when_a_partition_goes_then_its_chain_is_asked_for_anew(
    tmp_path: Path,
) -> None:
    """What another process wrote in between is not written again."""
    played = Played(tmp_path, PlayedConsumer(*batches(3, 3)), PlayedStore())
    await played.until_idle()
    played.role.forget([PLACE])
    played.role.forget([PLACE])
    assert played.role._chains == {}
