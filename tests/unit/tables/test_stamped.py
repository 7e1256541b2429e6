"""The stamped table: log first, and of two states the one that folded more wins."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.types import TP, EventT

from tables.stamped import Stamped, StampedTable

CHANGELOG = "t-states-changelog"


def event(stamp: int, state: bytes, offset: int = 0, partition: int = 0, key: bytes = b"k") -> Any:  # noqa: ANN401  Faust's event, as far as a table looks
    """Build a changelog record."""

    class Event:
        """An event that can be referred to weakly, as Faust's can."""

        message = SimpleNamespace(
            key=key,
            value=Stamped(stamp, state).encode(),
            tp=TP(CHANGELOG, partition),
            partition=partition,
            offset=offset,
        )

    return Event()


class Changelog:
    """A changelog topic that confirms, or fails.

    Parameters
    ----------
    failure
        What the broker answers with, if not a confirmation.
    """

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.sent: list[tuple[bytes, bytes, int]] = []

    def get_topic_name(self) -> str:
        """Return the topic's name."""
        return CHANGELOG

    async def send(self, *, key: bytes, value: bytes, partition: int, force: bool) -> Any:  # noqa: ANN401  an awaitable of metadata
        """Take a record and return the promise of its confirmation."""
        assert force
        self.sent.append((key, value, partition))
        promise: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.failure:
            promise.set_exception(self.failure)
        else:
            promise.set_result(
                SimpleNamespace(topic_partition=TP(CHANGELOG, partition), offset=40 + partition)
            )
        return promise


@pytest.fixture
def table(tmp_path: Path) -> StampedTable:
    """Open a table of two partitions on disk, as the stages have it."""
    app = faust.App(
        "t",
        broker="kafka://nowhere",
        store="rocksdb://",
        datadir=str(tmp_path),
        Table="tables.stamped:StampedTable",
        topic_partitions=2,
    )
    made = app.Table(
        "states", key_type=bytes, value_type=bytes, partitions=2, options={"driver": "rocksdict"}
    )
    assert isinstance(made, StampedTable)
    return made


def held(table: StampedTable, partition: int = 0, key: bytes = b"k") -> Stamped | None:
    """Read a key in a partition."""
    return table.read(cast(EventT[Any], event(0, b"", partition=partition)), key)


def test_stamped_when_encoded_then_comes_back() -> None:
    """The stamp is eight bytes in front of the state."""
    assert Stamped(258, b"state").encode() == b"\0\0\0\0\0\0\1\2state"
    assert Stamped.decode(Stamped(2**63, b"").encode()) == Stamped(2**63, b"")


async def test_write_when_the_changelog_confirms_then_is_kept_locally(table: StampedTable) -> None:
    """The record goes to the event's partition, and the local offset follows the log."""
    table.data.set_persisted_offset(TP(CHANGELOG, 1), 40)
    table.changelog_topic = log = cast(Any, Changelog())
    await table.write(event(0, b"", partition=1), b"k", Stamped(9, b"new"))
    assert log.sent == [(b"k", Stamped(9, b"new").encode(), 1)]
    assert held(table, 1) == Stamped(9, b"new")
    assert held(table, 0) is None
    assert table.data.persisted_offset(TP(CHANGELOG, 1)) == 41


async def test_write_when_another_wrote_before_then_is_read_from_there(
    table: StampedTable,
) -> None:
    """A sleeper's write does not hide what the owner wrote while it slept."""
    table.apply_changelog_batch([event(5, b"five", 38)])
    table.changelog_topic = cast(Any, Changelog())
    await table.write(event(0, b""), b"k", Stamped(6, b"six"))  # at 40; at 39 is the owner's
    assert table.data.persisted_offset(TP(CHANGELOG, 0)) == 38
    table.apply_changelog_batch([event(9, b"nine", 39), event(6, b"six", 40)])
    assert held(table) == Stamped(9, b"nine")


async def test_recovery_when_a_state_is_buried_then_is_written_again(
    table: StampedTable,
) -> None:
    """Compaction would keep the sleeper's state alone; only where the partition is this one's."""
    table.changelog_topic = log = cast(Any, Changelog())
    table.apply_changelog_batch([event(9, b"nine", 0), event(6, b"six", 1)])
    table.apply_changelog_batch([event(9, b"nine", 0, 1), event(6, b"six", 1, 1)])
    await table.on_recovery_completed({TP(CHANGELOG, 0)}, set())
    assert log.sent == [(b"k", Stamped(9, b"nine").encode(), 0)]
    await table.on_recovery_completed({TP(CHANGELOG, 0)}, set())
    assert len(log.sent) == 1
    table.apply_changelog_batch([event(10, b"ten", 2, 1)])
    await table.on_recovery_completed({TP(CHANGELOG, 1)}, set())
    assert len(log.sent) == 1


async def test_recovery_when_it_cannot_be_written_then_the_worker_ends(
    table: StampedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust would not look at the error."""
    crashed: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashed.append(error)

    monkeypatch.setattr(table.app, "crash", crash)
    table.changelog_topic = cast(Any, Changelog(ConnectionError("refused")))
    table.apply_changelog_batch([event(9, b"nine", 0), event(6, b"six", 1)])
    await table.on_recovery_completed({TP(CHANGELOG, 0)}, set())
    assert [str(error) for error in crashed] == ["refused"]


def test_recovery_when_another_table_s_event_comes_then_it_changes_nothing(
    table: StampedTable,
) -> None:
    """Faust hands on what came late from a partition that went, to the table before it."""
    foreign = event(5, b"foreign", 7)
    foreign.message.tp = TP("t-others-changelog", 0)
    table.apply_changelog_batch([foreign])
    assert held(table) is None
    assert table.data.persisted_offset(TP(CHANGELOG, 0)) is None


async def test_write_when_the_changelog_fails_then_nothing_is_kept(table: StampedTable) -> None:
    """The local database is never ahead of its log, and the stage hears of it."""
    table.changelog_topic = cast(Any, Changelog(ConnectionError("gone")))
    with pytest.raises(ConnectionError, match="gone"):
        await table.write(event(0, b""), b"k", Stamped(9, b"new"))
    assert held(table) is None


def test_recovery_when_a_sleeper_wrote_last_then_the_highest_stamp_wins(
    table: StampedTable,
) -> None:
    """An old owner that wakes up puts an older state behind a newer one; it does not count."""
    table.apply_changelog_batch([event(5, b"five", 0), event(9, b"nine", 1), event(7, b"seven", 2)])
    assert held(table) == Stamped(9, b"nine")
    assert table.data.persisted_offset(TP(CHANGELOG, 0)) == 2
    table.apply_changelog_batch([event(8, b"eight", 3)])
    assert held(table) == Stamped(9, b"nine")
    assert table.data.persisted_offset(TP(CHANGELOG, 0)) == 3
    table.apply_changelog_batch([event(9, b"again", 4)])
    assert held(table) == Stamped(9, b"again")


def test_recovery_when_a_batch_mixes_partitions_then_each_keeps_its_own(
    table: StampedTable,
) -> None:
    """The same key in two partitions is two states, whatever their stamps."""
    table.apply_changelog_batch(
        [
            event(100, b"p1", 7, partition=1),
            event(5, b"p0", 3, partition=0),
            event(90, b"p1 old", 8, partition=1),
            event(2, b"other", 4, partition=0, key=b"other"),
        ]
    )
    assert held(table, 0) == Stamped(5, b"p0")
    assert held(table, 1) == Stamped(100, b"p1")
    assert held(table, 0, b"other") == Stamped(2, b"other")
    assert table.data.persisted_offset(TP(CHANGELOG, 0)) == 4
    assert table.data.persisted_offset(TP(CHANGELOG, 1)) == 8


def test_recovery_when_nothing_came_then_nothing_changes(table: StampedTable) -> None:
    """An empty batch is no error."""
    table.apply_changelog_batch([])
    assert held(table) is None
