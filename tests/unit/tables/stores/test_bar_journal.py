"""Days of bars on disk: written whole, found again, and known by their bytes."""

from pathlib import Path

import pytest

from tables.learning import DAY_NS, Day, prepared_of
from tables.stores.artifacts import ArtifactCorrupt, ArtifactMissing
from tables.stores.bar_journal import KEPT_DAYS, BarJournal
from tests.unit.tables.test_learning import a_slice


def day(number: int) -> Day:
    """Give a day with one bar of two symbols."""
    prepared = prepared_of([a_slice((number + 1) * DAY_NS, ["A", "B"])])
    return Day(number, prepared, {0: (number, number + 4)})


def test_keep_when_days_follow_then_stretch_lays_them_end_to_end(tmp_path: Path) -> None:
    """What is read is what was written, with the files' digests and where it was from."""
    journal = BarJournal(tmp_path)
    for number in (10, 11, 12):
        journal.keep(day(number))
    assert journal.days() == (10, 11, 12)
    found = journal.stretch([11, 12])
    assert found.prepared.history.close_ns.tolist() == [12 * DAY_NS, 13 * DAY_NS]
    assert found.origin["offsets"] == {
        "1970-01-12.parquet": {"0": [11, 15]},
        "1970-01-13.parquet": {"0": [12, 16]},
    }
    again = journal.again(found.origin)
    assert again.features.tobytes() == found.prepared.features.tobytes()


def test_keep_when_a_day_is_written_twice_then_has_the_same_bytes(tmp_path: Path) -> None:
    """After a crash a day is written again, and changes nothing."""
    journal = BarJournal(tmp_path)
    journal.keep(day(3))
    before = (tmp_path / "1970-01-04.parquet").read_bytes()
    journal.keep(day(3))
    assert (tmp_path / "1970-01-04.parquet").read_bytes() == before


def test_keep_when_days_are_old_then_lets_them_go(tmp_path: Path) -> None:
    """What no window reaches any more makes room."""
    journal = BarJournal(tmp_path)
    for number in (1, 2, KEPT_DAYS + 2):
        journal.keep(day(number))
    assert journal.days() == (2, KEPT_DAYS + 2)


def test_again_when_a_day_has_changed_or_gone_then_says_so(tmp_path: Path) -> None:
    """A model is never built again from other bars."""
    journal = BarJournal(tmp_path)
    journal.keep(day(5))
    origin = journal.stretch([5]).origin
    journal.keep(day(5)._replace(prepared=day(6).prepared))
    with pytest.raises(ArtifactCorrupt, match="must have the digest"):
        journal.again(origin)
    (tmp_path / "1970-01-06.parquet").unlink()
    with pytest.raises(ArtifactMissing, match="is gone: days are kept for 200 days"):
        journal.again(origin)


def test_stretch_when_a_file_is_damaged_or_there_is_none_then_says_so(tmp_path: Path) -> None:
    """Half of a file is no day."""
    journal = BarJournal(tmp_path)
    with pytest.raises(ArtifactMissing, match="no day of bars"):
        journal.stretch(journal.days())
    journal.keep(day(5))
    (tmp_path / "1970-01-06.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        journal.stretch([5])
