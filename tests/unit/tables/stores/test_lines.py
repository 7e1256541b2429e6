"""Lines that are whole, whatever a crash or a full disk left before them."""

import errno
from pathlib import Path

import pytest

from tables.stores.lines import append_line


def test_append_when_the_line_before_was_torn_then_it_gets_an_end(tmp_path: Path) -> None:
    """The next line stands for itself; the file is for its owner only."""
    path = tmp_path / "new" / "lines"
    append_line(path, b"one")
    path.write_bytes(path.read_bytes() + b"tw")
    append_line(path, b"three")
    assert path.read_bytes() == b"one\ntw\nthree\n"
    assert path.stat().st_mode & 0o077 == 0


def test_append_when_the_disk_takes_nothing_then_raises() -> None:
    """Nobody is told that a line was kept which was not."""
    with pytest.raises(OSError, match="No space") as raised:
        append_line(Path("/dev/full"), b"one")
    assert raised.value.errno == errno.ENOSPC
