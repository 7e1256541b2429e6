"""The badge on hand-made rows: every state, and every reason why a trail is not believed."""

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.audit import NO_HEAD, AuditHead
from tables.audit_rows import AuditRow
from tables.stores.audit_key import AuditKey, audit_folder
from tables.stores.head_trees import Proof
from tables.views import audit_badge
from tables.views.audit_badge import badge_of

_ROW = AuditRow(
    "stack-1", "run-1", 2, 40, 7, datetime(2026, 1, 2, tzinfo=UTC), b"main", "[]", b"{}", bytes(32)
)


def head(**changed: object) -> AuditHead:
    """Return an unsigned head of the row's partition."""
    unsigned = AuditHead(
        chain="00" * 32,
        first_seq=0,
        key_id="",
        last_offset=40,
        last_seq=7,
        number=3,
        partition=2,
        previous=NO_HEAD,
        root="11" * 32,
        run="run-1",
        sealed_ms=0,
        stack="stack-1",
    )
    return msgspec.structs.replace(unsigned, **changed)


def proof(signed: AuditHead, *, holds: bool = True) -> Proof:
    """Return a proof under a head."""
    return Proof("", 7, 8, [], signed, holds)


@pytest.fixture
def key(tmp_path: Path) -> AuditKey:
    """Draw the key of a stack."""
    return AuditKey.of(tmp_path)


def test_badge_when_row_path_and_signature_hold_then_it_is_verified(
    tmp_path: Path, key: AuditKey
) -> None:
    """It says which row, under which head, and whose key."""
    badge = badge_of(_ROW, b"{}", proof(key.sign(head())), tmp_path)
    assert badge.state == "verified"
    for said in ("row 7 of partition 2", "head 3", key.id[:16]):
        assert said in badge.detail


def test_badge_when_kafka_has_other_bytes_then_it_is_not_verified(
    tmp_path: Path, key: AuditKey
) -> None:
    """A proof of other bytes proves nothing about what the page shows."""
    badge = badge_of(_ROW, b"{ }", proof(key.sign(head())), tmp_path)
    assert (badge.state, "other bytes than Kafka" in badge.detail) == ("not verified", True)


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(119, "about once a minute"), (121, "2 minutes old"), (7_260, "121 minutes")],
)
def test_badge_when_no_head_is_there_yet_then_says_so_and_asks_when_it_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: int, said: str
) -> None:
    """The newest minute is called neither a fault nor proved; an old row without a head is odd."""
    logged_s = int(_ROW.logged_at.timestamp())
    monkeypatch.setattr(audit_badge, "wall_ns", lambda: (logged_s + age_s) * 10**9)
    badge = badge_of(_ROW, b"{}", None, tmp_path)
    assert badge.state == "no head yet"
    assert said in badge.detail
    assert ("audit verify" in badge.detail) is (age_s > 120)


@pytest.mark.parametrize(
    ("changed", "holds", "why"),
    [
        ({}, False, "rows were changed"),
        ({"partition": 1}, True, "another trail"),
        ({"run": "run-2"}, True, "another trail"),
        ({"stack": "stack-2"}, True, "another trail"),
    ],
)
def test_badge_when_the_head_does_not_vouch_for_the_row_then_it_says_why(
    tmp_path: Path,
    key: AuditKey,
    changed: dict[str, object],
    holds: bool,  # noqa: FBT001  a value of the table
    why: str,
) -> None:
    """A signed head of something else is worth nothing."""
    badge = badge_of(_ROW, b"{}", proof(key.sign(head(**changed)), holds=holds), tmp_path)
    assert badge.state == "not verified"
    assert why in badge.detail


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", b64encode(bytes(64)).decode()])
def test_badge_when_the_signature_is_none_of_this_key_then_it_is_not_verified(
    tmp_path: Path, key: AuditKey, signature: str
) -> None:
    """Who can write rows and heads into the database cannot sign them."""
    signed = msgspec.structs.replace(key.sign(head()), signature=signature)
    badge = badge_of(_ROW, b"{}", proof(signed), tmp_path)
    assert badge.state == "not verified"
    assert "not signed by the key of this stack" in badge.detail


def test_badge_when_another_key_signed_then_it_is_not_verified(
    tmp_path: Path, key: AuditKey
) -> None:
    """A key of somebody's own makes a sound signature, and is not the stack's."""
    other = AuditKey(Ed25519PrivateKey.generate())
    assert other.id != key.id
    badge = badge_of(_ROW, b"{}", proof(other.sign(head())), tmp_path)
    assert badge.state == "not verified"


@pytest.mark.parametrize("content", [None, b"no key", "x25519"])
def test_badge_when_the_public_key_is_missing_or_unreadable_then_it_was_not_checked(
    tmp_path: Path, key: AuditKey, content: bytes | str | None
) -> None:
    """What cannot be checked is neither sound nor broken."""
    path = audit_folder(tmp_path) / "public.pem"
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415  for this row

        public = X25519PrivateKey.generate().public_key()
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    badge = badge_of(_ROW, b"{}", proof(key.sign(head())), tmp_path)
    assert badge.state == "not checked"
    assert badge.detail
