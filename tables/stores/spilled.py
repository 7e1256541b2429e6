"""What waits in a folder of segments, read beside the process that works there."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streams.transport import Outgoing
from tables.stores.blocks import HEADER_BYTES, any_behind, records, whole
from tables.stores.segments import PATTERN, damaged
from tables.stores.sent_mark import Place, sent_place
from tables.stores.spill import read_record


class Spilled(NamedTuple):
    """A record that waits, and when it was written."""

    written_ns: int
    record: Outgoing


def spills(home: Path) -> list[Path]:
    """Return the folders of segments of a stack."""
    return sorted(path.parent for path in (home / "spill").glob("*/sent"))


def waiting(folder: Path) -> Iterator[Spilled]:
    """Walk along what waits; a write that is under way is not there yet.

    Raises
    ------
    SegmentDamaged
        Where something follows that is not what was written.
    """
    sent = sent_place(folder / "sent")
    paths = sorted(folder.glob(PATTERN))
    for path in paths:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            # Sent and removed since the folder was listed.
            continue
        end = 0
        for offset, header in whole(data):
            end = offset + header.size
            if Place(int(path.stem), end) > sent:
                for payload in records(header, data[offset + HEADER_BYTES : end]) or ():
                    yield Spilled(header.written_ns, read_record(payload))
        if end < len(data) and (path != paths[-1] or any_behind(data, end)):
            raise damaged(path, end)
