"""The mark of what was sent: it may fall back, and never runs ahead."""

from pathlib import Path

import pytest

from tables.stores.sent_mark import Place, SentMark, sent_place


def written(path: Path, *places: Place) -> bytes:
    """Write places in one process; return the file."""
    mark = SentMark(path)
    for place in places:
        mark.write(place)
    mark.close()
    return path.read_bytes()


def read(path: Path) -> Place:
    """Return what the next process finds, and one that only looks."""
    looked = sent_place(path)
    mark = SentMark(path)
    mark.close()
    assert looked == mark.place
    return mark.place


def test_mark_when_nothing_was_sent_then_stands_at_the_beginning(tmp_path: Path) -> None:
    """Also for somebody who looks before it is there."""
    assert read(tmp_path / "sent") == Place(0, 0)


def test_mark_when_written_then_the_next_process_goes_on_there(tmp_path: Path) -> None:
    """And its own writes do not overwrite the newest place first."""
    path = tmp_path / "sent"
    written(path, Place(1, 35), Place(1, 70), Place(2, 5))
    assert read(path) == Place(2, 5)
    data = bytearray(written(path, Place(2, 9)))
    newest = 0 if data[8] == 9 else 20
    data[newest] ^= 1
    path.write_bytes(data)
    assert read(path) == Place(2, 5)


def test_mark_when_written_often_then_the_file_does_not_grow(tmp_path: Path) -> None:
    """Moving it needs no room on a disk that is full."""
    assert len(written(tmp_path / "sent", *(Place(1, n) for n in range(9)))) == 40


@pytest.mark.parametrize("slots", [b"", b"\0" * 40, b"\xff" * 40, b"\0" * 7])
def test_mark_when_unreadable_then_stands_at_the_beginning(tmp_path: Path, slots: bytes) -> None:
    """A repeat is allowed, a loss is not."""
    path = tmp_path / "sent"
    written(path, Place(3, 7))
    path.write_bytes(slots)
    assert read(path) == Place(0, 0)


def test_mark_when_cut_at_any_byte_or_bit_flipped_then_never_runs_ahead(tmp_path: Path) -> None:
    """It is the newest place or the one before it, whatever happened to one slot."""
    path = tmp_path / "sent"
    data = written(path, Place(1, 35), Place(1, 70))
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert read(path) in {Place(1, 35), Place(1, 70)}
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert read(path) in {Place(0, 0), Place(1, 35), Place(1, 70)}
