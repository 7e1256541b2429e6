"""Replacing a file: the old bytes or the new ones, and no draft left over."""

from pathlib import Path

import pytest

from tables.stores.replacing import replacing


def test_replacing_when_it_ends_well_then_has_the_new_bytes(tmp_path: Path) -> None:
    """A reader who comes in the middle finds the old ones."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_when_the_writer_fails_then_keeps_the_old_bytes(tmp_path: Path) -> None:
    """Half of a file never takes the place of a whole one."""

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"ha")
            raise KeyError(path)

    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
