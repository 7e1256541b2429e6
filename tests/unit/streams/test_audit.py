"""Canonical bytes against a library of RFC 8785, and heads as others read them."""

import json
from base64 import b64encode

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from streams.audit import NO_HEAD, AuditHead, Sealed, header_bytes, read_head, texts

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
# RFC 8785 knows numbers as doubles: whole ones are exact up to here.
WHOLE = st.integers(0, 2**53 - 1)


def head(**changed: object) -> AuditHead:
    """Build a head without a signature."""
    fields = {
        "chain": "ab" * 32,
        "first_seq": 0,
        "key_id": "cd" * 32,
        "last_offset": 9,
        "last_seq": 9,
        "number": 0,
        "partition": 1,
        "previous": NO_HEAD,
        "root": "ef" * 32,
        "run": "live",
        "sealed_ms": 1_767_387_600_000,
        "stack": "paper-1f2e3d4c",
    }
    return AuditHead(**(fields | changed))  # type: ignore[arg-type]


@given(
    headers=st.lists(st.tuples(TEXT, st.binary(max_size=9)), max_size=4),
    key=st.none() | st.binary(max_size=9),
    run=TEXT,
    whole=st.tuples(WHOLE, WHOLE, WHOLE, WHOLE),
)
def test_canonical_when_compared_with_a_library_then_is_equal(
    headers: list[tuple[str, bytes]],
    key: bytes | None,
    run: str,
    whole: tuple[int, int, int, int],
) -> None:
    """Another language's canonical form of the same object has the same bytes."""
    offset, partition, seq, at = whole
    sealed = Sealed(
        headers=texts(headers),
        key=None if key is None else b64encode(key).decode(),
        offset=offset,
        partition=partition,
        run=run,
        seq=seq,
        stack="paper-1f2e3d4c",
        timestamp_ms=at,
        value_sha256="00" * 32,
    )
    assert sealed.canonical() == rfc8785.dumps(json.loads(sealed.canonical()))
    assert header_bytes(sealed.headers) == headers


def test_head_when_signed_then_stays_canonical_and_readable() -> None:
    """With and without its signature the bytes are those of the RFC."""
    signed = msgspec.structs.replace(head(), signature="c2ln")
    for each in (head(), signed):
        assert each.canonical() == rfc8785.dumps(json.loads(each.canonical()))
        assert read_head(each.canonical()) == each
    assert b"signature" not in head().canonical()
    assert head().digest() != signed.digest()


def test_read_head_when_it_is_none_then_says_so() -> None:
    """What is no head is not taken for one."""
    with pytest.raises(msgspec.ValidationError):
        read_head(b'{"chain": 1}')
