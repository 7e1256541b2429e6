"""Blocks: bytes that another program can read, and that no changed byte passes through."""

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tables.stores.blocks import HEADER_BYTES, any_behind, block, header_at, records, whole


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=4))
def test_block_when_written_then_is_what_the_format_says(groups: list[list[bytes]]) -> None:
    """Another program can read it: struct and CRC-32, field by field."""
    data = b"".join(b"".join(block(group, 5)) for group in groups)
    at, found = 0, []
    while at < len(data):
        mark, time, n_records, n_bytes, body_crc, crc = struct.unpack_from("<4sQIIII", data, at)
        assert (mark, time, crc) == (b"TWB1", 5, zlib.crc32(data[at : at + 24]))
        body = data[at + 28 : at + 28 + n_bytes]
        assert body_crc == zlib.crc32(body)
        group, inner = [], 0
        for _ in range(n_records):
            (length,) = struct.unpack_from("<I", body, inner)
            group.append(body[inner + 4 : inner + 4 + length])
            inner += 4 + length
        found.append(group)
        at += 28 + n_bytes
    assert found == groups
    assert len(list(whole(data))) == len(groups)


def test_records_when_the_body_is_not_the_headers_then_is_none() -> None:
    """A header alone proves nothing."""
    header, body = block([b"one"], 1)
    read = header_at(header, 0)
    assert records(read, body) == [b"one"]
    assert records(read, body[:-1]) is None
    assert records(None, body) is None
    assert header_at(header[: HEADER_BYTES - 1], 0) is None


def test_any_behind_when_a_record_holds_the_mark_of_a_block_then_is_not_taken_in() -> None:
    """Four bytes may stand in any value; a block is more."""
    first, second = (b"".join(block([value], 1)) for value in (b"TWB1TWB1", b"two"))
    assert not any_behind(first, 0)
    assert any_behind(first + second, 0)
    assert not any_behind(first + second[:-1], 0)
