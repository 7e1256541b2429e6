"""Marks of daily work: what is kept, and what a damaged file is."""

from pathlib import Path

import pytest

from tables.stores.daily_marks import RETENTION, SHELF, last_done_ns, mark_done


def test_mark_when_it_is_set_then_is_read_and_the_other_kind_is_not(tmp_path: Path) -> None:
    """Each kind of work has its own time."""
    assert last_done_ns(tmp_path, SHELF) is None
    mark_done(tmp_path, SHELF, 7)
    mark_done(tmp_path, SHELF, 1_767_387_600_000_000_000)
    assert last_done_ns(tmp_path, SHELF) == 1_767_387_600_000_000_000
    assert last_done_ns(tmp_path, RETENTION) is None


@pytest.mark.parametrize("content", [b"", b"x", b"-1", b"\xff", "٣".encode()])
def test_mark_when_the_file_is_damaged_then_nobody_knows(tmp_path: Path, content: bytes) -> None:
    """Whatever stands there, nobody fails over it."""
    (tmp_path / SHELF).write_bytes(content)
    assert last_done_ns(tmp_path, SHELF) is None


def test_mark_when_the_stack_has_no_folder_then_makes_none(tmp_path: Path) -> None:
    """A name that was mistyped does not become a stack."""
    mark_done(tmp_path / "typo", SHELF, 7)
    assert not (tmp_path / "typo").exists()
