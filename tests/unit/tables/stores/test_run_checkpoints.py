"""Checkpoints on disk: the newest of before a time, and files that were changed."""

from pathlib import Path

import pytest

from streams.codec import StateError
from tables.stores.run_checkpoints import RunCheckpoints
from tests.unit.tables.test_checkpoint import KEPT


def kept(home: Path, *closes_ns: int) -> RunCheckpoints:
    """Return a folder with checkpoints of some bars."""
    found = RunCheckpoints(home, "")
    for close_ns in closes_ns:
        found.keep(KEPT._replace(close_ns=close_ns))
    return found


def test_nearest_when_there_are_several_then_is_the_last_of_before(tmp_path: Path) -> None:
    """One of the very time may have decided it already."""
    found = kept(tmp_path, 100, 300, 200)
    assert found.closes_ns() == [300, 200, 100]
    for ts_ns, close_ns in ((1_000, 300), (300, 200), (201, 200), (101, 100)):
        nearest = found.nearest(ts_ns, {})
        assert nearest is not None
        assert nearest.close_ns == close_ns
    assert found.nearest(100, {}) is None
    assert RunCheckpoints(tmp_path, "other").nearest(1_000, {}) is None


def test_nearest_when_a_file_was_changed_then_is_the_one_before_and_says_so(
    tmp_path: Path,
) -> None:
    """A flipped byte must not accuse a decision of being another."""
    found = kept(tmp_path, 100, 200)
    path = found.keep(KEPT._replace(close_ns=300))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    why: dict[str, None] = {}
    nearest = found.nearest(1_000, why)
    assert nearest is not None
    assert nearest.close_ns == 200
    assert list(why) == [f"{path} has other bytes than were written; delete it"]


def test_keep_when_done_then_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """It holds positions and cash."""
    path = kept(tmp_path).keep(KEPT)
    assert path.stat().st_mode & 0o777 == 0o600


def test_keep_when_a_bar_has_one_then_the_newer_takes_its_place(tmp_path: Path) -> None:
    """Of days one checkpoint in four hours has the same close, and other offsets."""
    found = kept(tmp_path, 100)
    found.keep(KEPT._replace(close_ns=100, ticks=[9, 9]))
    assert found.load(100).ticks == [9, 9]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_load_when_it_was_deleted_meanwhile_then_says_so(tmp_path: Path) -> None:
    """Another process thins them out while somebody asks."""
    with pytest.raises(StateError, match="cannot be read"):
        kept(tmp_path).load(100)


def test_drop_when_a_bar_is_named_then_its_checkpoint_alone_is_gone(tmp_path: Path) -> None:
    """Strange files in the folder are none of ours."""
    found = kept(tmp_path, 100, 200)
    (tmp_path / "checkpoints" / "notes.checkpoint").write_text("x")
    found.drop(100)
    assert found.closes_ns() == [200]
