"""Blocks of records as bytes: what became durable together, under two checksums.

One block is a header (mark, when it was written, records, bytes, CRC-32 of the body, CRC-32 of the
header before it) and a body of records, each behind its length. All integers are little-endian.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MARK = b"TWB1"

_HEAD = struct.Struct("<4sQIII")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEAD.size + _CRC.size
LENGTH_BYTES = 4


class Header(NamedTuple):
    """What a block says about itself."""

    written_ns: int
    n_records: int
    n_bytes: int
    body_crc: int

    @property
    def size(self) -> int:
        """Bytes of the whole block."""
        return HEADER_BYTES + self.n_bytes


def block(payloads: Sequence[bytes], written_ns: int) -> tuple[bytes, bytes]:
    """Return the header and the body of a block.

    Examples
    --------
    >>> header, body = block([b"one", b"two"], 7)
    >>> records(header_at(header + body, 0), body)
    [b'one', b'two']
    """
    body = b"".join(part for payload in payloads for part in (_CRC.pack(len(payload)), payload))
    head = _HEAD.pack(MARK, written_ns, len(payloads), len(body), zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)), body


def header_at(data: bytes, offset: int) -> Header | None:
    """Read the header at an offset; None where none is, or where one is torn or changed."""
    head = data[offset : offset + _HEAD.size]
    crc = data[offset + _HEAD.size : offset + HEADER_BYTES]
    if len(crc) < _CRC.size or _CRC.pack(zlib.crc32(head)) != crc:
        return None
    mark, *fields = _HEAD.unpack(head)
    return Header(*fields) if mark == MARK else None


def records(header: Header | None, body: bytes) -> list[bytes] | None:
    """Cut a body into its records; None if it is not what its header was written for."""
    if header is None or len(body) != header.n_bytes or zlib.crc32(body) != header.body_crc:
        return None
    found, at = [], 0
    while at < len(body):
        start = at + LENGTH_BYTES
        at = start + _CRC.unpack_from(body, at)[0]
        found.append(body[start:at])
    return found


def whole(data: bytes) -> Iterator[tuple[int, Header]]:
    """Walk along the blocks of a segment; stop before the first that is not whole."""
    offset = 0
    while (header := whole_at(data, offset)) is not None:
        yield offset, header
        offset += header.size


def whole_at(data: bytes, offset: int) -> Header | None:
    """Read the header at an offset if all of its block is there as it was written."""
    header = header_at(data, offset)
    if header is None:
        return None
    body = memoryview(data)[offset + HEADER_BYTES : offset + header.size]
    return header if len(body) == header.n_bytes and zlib.crc32(body) == header.body_crc else None


def any_behind(data: bytes, offset: int) -> bool:
    """Tell whether a whole block stands somewhere behind an offset.

    A block is begun when the one before it is durable. So one that is not whole is a torn write if
    it is the last, and damage if another follows.
    """
    at = data.find(MARK, offset + 1)
    while at >= 0:
        if whole_at(data, at) is not None:
            return True
        at = data.find(MARK, at + 1)
    return False
