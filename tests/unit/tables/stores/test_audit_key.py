"""The key and the file of heads: drawn once, closed to others, whole after a crash."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tables.stores.audit_key import AuditKey, HeadFile, _draw, audit_folder, public_key
from tables.stores.errors import StoreConflict
from tests.trails import Trail


def test_key_when_asked_for_twice_then_is_the_same_and_closed_to_others(tmp_path: Path) -> None:
    """A restart signs with the key of before; nobody else may read it."""
    first, second = AuditKey.of(tmp_path), AuditKey.of(tmp_path)
    assert first.id == second.id
    path = audit_folder(tmp_path) / "signing.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert public_key(tmp_path) == first.public_pem
    assert AuditKey.of(tmp_path / "other").id != first.id


def test_key_when_two_draw_at_once_then_the_first_ones_stays(tmp_path: Path) -> None:
    """No head is signed with a key that was replaced."""
    key = AuditKey.of(tmp_path)
    _draw(audit_folder(tmp_path) / "signing.pem")
    assert AuditKey.of(tmp_path).id == key.id
    assert not list(audit_folder(tmp_path).glob("signing.?*[!m]"))


def test_key_when_the_file_holds_another_then_refuses(tmp_path: Path) -> None:
    """Neither a damaged key nor one of another kind signs anything."""
    path = audit_folder(tmp_path) / "signing.pem"
    path.parent.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(StoreConflict, match="no private key"):
        AuditKey.of(tmp_path)
    other = X25519PrivateKey.generate()
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StoreConflict, match="expected Ed25519"):
        AuditKey.of(tmp_path)


def test_public_key_when_the_role_never_ran_then_says_so(tmp_path: Path) -> None:
    """An export from another machine does not invent a key."""
    with pytest.raises(StoreConflict, match=r"public\.pem is missing"):
        public_key(tmp_path)


def test_head_file_when_a_crash_left_half_a_line_then_goes_on_behind_the_last_whole_one(
    tmp_path: Path,
) -> None:
    """The half is cut off, and the next head stands on a line of its own."""
    heads = Trail(25).heads
    file = HeadFile(tmp_path, "live", 0)
    assert file.last() is None
    file.append(heads[:2])
    with file.path.open("ab") as broken:
        broken.write(heads[2].canonical()[:50])
    assert file.last() == heads[1]
    file.append(heads[2:])
    assert file.path.read_bytes().splitlines() == [head.canonical() for head in heads]
    file.path.write_bytes(b"half")
    assert file.last() is None
