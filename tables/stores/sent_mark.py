"""The mark of what was sent: two slots that are written in turn, so a torn one leaves the other."""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from tables.stores.replacing import fsync_folder

_PLACE = struct.Struct("<QQ")
_CRC = struct.Struct("<I")
_SLOT_BYTES = _PLACE.size + _CRC.size
_OWNER_ONLY = 0o600


class Place(NamedTuple):
    """A seam between two blocks: number of the segment, and bytes in it."""

    segment: int
    offset: int


class SentMark:
    """A place that only moves on, in a file that never grows: a full disk does not stop it.

    Parameters
    ----------
    path
        Made if it is not there. Where neither slot can be read the mark stands at the very
        beginning: records come again, and none is lost.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        data = os.pread(self._file, 2 * _SLOT_BYTES, 0)
        if len(data) < 2 * _SLOT_BYTES:
            data = data.ljust(2 * _SLOT_BYTES, b"\0")
            os.pwrite(self._file, data, 0)
            os.fsync(self._file)
            fsync_folder(path.parent)
        first, second = _slots(data)
        self.place = max(first, second)
        self._turn = int(first >= second)

    def write(self, place: Place) -> None:
        """Move the mark; it is durable when this returns."""
        packed = _PLACE.pack(*place)
        slot = packed + _CRC.pack(zlib.crc32(packed))
        os.pwrite(self._file, slot, self._turn * _SLOT_BYTES)
        os.fsync(self._file)
        self.place = place
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sent_place(path: Path) -> Place:
    """Read a mark that another process may be moving."""
    return max(_slots(path.read_bytes() if path.exists() else b""))


def _slots(data: bytes) -> tuple[Place, Place]:
    return _read(data[:_SLOT_BYTES]), _read(data[_SLOT_BYTES:])


def _read(slot: bytes) -> Place:
    packed, crc = slot[: _PLACE.size], slot[_PLACE.size :]
    # A slot that was never written is all zeros, whose checksum is not zero.
    if len(crc) < _CRC.size or _CRC.pack(zlib.crc32(packed)) != crc:
        return Place(0, 0)
    return Place(*_PLACE.unpack(packed))
