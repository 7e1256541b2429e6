"""Looking at what waits, beside the process that works there: no lock, no trace."""

import asyncio
from pathlib import Path

import pytest

from streams.transport import Outgoing
from tables.stores.errors import SegmentDamaged
from tables.stores.segments import PATTERN, Segments
from tables.stores.spill import Spill
from tables.stores.spilled import spills, waiting


def filled(folder: Path) -> list[Path]:
    """Put three records, one a segment; return the segments."""

    async def fill() -> None:
        async with Spill(folder, segment_bytes=1) as spill:
            for n in range(3):
                await spill.put(Outgoing("t", None, b"%d" % n, [], n))

    asyncio.run(fill())
    return sorted(folder.glob(PATTERN))


def values(folder: Path) -> list[bytes]:
    """Return the values that wait."""
    return [one.record.value for one in waiting(folder)]


def test_waiting_when_one_was_sent_then_begins_behind_it(tmp_path: Path) -> None:
    """As a drain would; and a folder is found by the mark in it."""
    folder = tmp_path / "spill" / "web"
    folder.parent.mkdir()
    filled(folder)
    with Segments(folder) as segments:
        segments.forget(segments.read(1))
        assert values(folder) == [b"1", b"2"]
    assert spills(tmp_path) == [folder]
    assert spills(tmp_path / "other") == []


def test_waiting_when_a_write_is_under_way_then_is_not_there_yet(tmp_path: Path) -> None:
    """Half of the last block is no damage, half of an earlier one is."""
    paths = filled(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    assert values(tmp_path) == [b"0", b"1"]
    paths[0].write_bytes(paths[0].read_bytes()[:-1])
    with pytest.raises(SegmentDamaged, match="from byte 0 on"):
        values(tmp_path)


def test_waiting_when_a_segment_goes_meanwhile_then_goes_on(tmp_path: Path) -> None:
    """It was sent."""
    paths = filled(tmp_path)
    walk = waiting(tmp_path)
    assert next(walk).record.value == b"0"
    paths[1].unlink()
    assert [one.record.value for one in walk] == [b"2"]
