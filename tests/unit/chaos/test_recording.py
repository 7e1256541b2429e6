"""A recording gives back what was recorded; planted defects change what they say."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.chaos.judge.record import Record, Together, all_records
from tests.chaos.judge.recording import RecordedSource, write
from tests.chaos.planting import Kept, doubled, lost, plus, swapped

RECORDS = [
    Record("t", 0, 0, 5, b"k", b'{"n": 1.5}', (("a", b"1"), ("a", b""))),
    Record("t", 0, 1, 6, None, None, ()),
    Record("t", 1, 0, 7, b"k", b'{"n": "2"}', ()),
]


class Listed:
    """A source of some records and an empty topic."""

    def topics(self) -> dict[str, int]:
        """Return one topic of two partitions, and one without records."""
        return {"t": 2, "empty": 1}

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return what there is."""
        return iter([r for r in RECORDS if (r.topic, r.partition) == (topic, partition)])


def test_recording_when_read_then_has_every_byte(tmp_path: Path) -> None:
    """Keys and values that are none, headers of one name, topics without records."""
    write(Listed(), tmp_path / "run.parquet")
    read = RecordedSource(tmp_path / "run.parquet")
    assert read.topics() == {"t": 2, "empty": 1}
    assert list(all_records(Together(read), "t")) == RECORDS
    assert list(all_records(read, "empty")) == []


def test_defects_when_planted_then_change_a_copy_alone() -> None:
    """The recording stays as it was for the next defect."""
    kept = Kept(Listed())
    changed = kept.copy()
    lost("t")(changed, Random(0))  # noqa: S311  a seeded place
    doubled("t", plus("n", "1e-16"))(changed, Random(0))  # noqa: S311  a seeded place
    assert list(all_records(kept, "t")) == RECORDS
    assert len(list(all_records(changed, "t"))) == 3


def test_numbers_when_added_to_then_are_exact_in_text_and_number() -> None:
    """A float could not show the least unit."""
    assert plus("n", "1e-16")(b'{"n": 1.5, "n": 1}') == b'{"n": 1.5000000000000001, "n": 1}'
    assert plus("n", "-1")(b'{"n": "2"}') == b'{"n": "1"}'


def test_records_when_swapped_then_are_neighbours_of_one_key() -> None:
    """What stands between them belongs to others."""
    kept = Kept(Listed())
    kept.of["t", 0] = [Record("t", 0, n, 0, key, value) for n, (key, value) in enumerate(
        [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    )]  # fmt: skip
    swapped("t", lambda one, two: one.key == b"a" == two.key)(kept, Random(0))  # noqa: S311  a seeded place
    assert [record.value for record in kept.of["t", 0]] == [b"3", b"2", b"1"]
