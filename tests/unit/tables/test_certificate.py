"""Certificates: what is signed is what is read."""

import json
from pathlib import Path

import msgspec
import pytest

from tables.certificate import Certificate, CertificateError, Certified
from tables.machine import machine
from tables.stores.signing_key import SigningKey

BODY = Certified(
    topic="market-ticks",
    run="",
    begins=[0, 0],
    ends=[10, 12],
    book_ends=[4, 0],
    last_ns=1_704_153_600_000_000_000,
    asked=[None, "2024-01-02T00:00:00Z"],
    epochs=["e"],
    models=["m"],
    config="c",
    total="t",
    portfolios={"main": "h"},
    n_decisions=3,
    n_records=1,
    book="recorded",
    machine=machine(),
)


def signed(tmp_path: Path, body: Certified = BODY) -> bytes:
    """Return the file of a certificate."""
    return Certificate.sign(body, SigningKey.of(tmp_path)).encode()


def test_certificate_when_read_then_is_what_was_signed(tmp_path: Path) -> None:
    """White space is no part of what is signed, so people may look at the file."""
    data = signed(tmp_path)
    assert Certificate.decode(data).body == BODY
    compact = json.dumps(json.loads(data)).encode()
    assert Certificate.decode(compact).public_key == SigningKey.of(tmp_path).public


@pytest.mark.parametrize(
    ("path", "value"), [("total", "u"), ("n_decisions", 4), ("ends", [10, 13]), ("run", "r1")]
)
def test_certificate_when_a_field_was_changed_then_is_refused(
    path: str, value: object, tmp_path: Path
) -> None:
    """Nothing in the body can be changed afterwards."""
    document = json.loads(signed(tmp_path))
    document["body"][path] = value
    with pytest.raises(CertificateError, match="not what its key signed"):
        Certificate.decode(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"body": {}}'])
def test_certificate_when_bytes_are_none_then_says_so(data: bytes) -> None:
    """A stranger's file is an error with words."""
    with pytest.raises(CertificateError, match="bytes are no certificate"):
        Certificate.decode(data)


def test_certificate_when_of_another_version_then_says_so(tmp_path: Path) -> None:
    """A later program may know more, and this one does not guess."""
    later = msgspec.structs.replace(BODY, version=2)
    with pytest.raises(CertificateError, match="has version 2; expected 1"):
        Certificate.decode(signed(tmp_path, later))
