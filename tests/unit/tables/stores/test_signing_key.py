"""The signing key: drawn once, closed to others, and checked against a test vector."""

import os
from pathlib import Path

import pytest

from tables.stores.errors import StoreConflict
from tables.stores.signing_key import NAME, SigningKey, is_signed

# RFC 8032 (2017), section 7.1, test 2.
SEED_HEX = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_key_when_given_then_signs_as_the_rfc_says(tmp_path: Path) -> None:
    """A certificate can be checked with any library for Ed25519."""
    path = tmp_path / NAME
    path.write_bytes(bytes.fromhex(SEED_HEX))
    path.chmod(0o600)
    key = SigningKey.of(tmp_path)
    assert (key.public, key.sign(b"\x72")) == (PUBLIC, SIGNATURE)
    assert is_signed(b"\x72", SIGNATURE, PUBLIC)


def test_key_when_asked_for_twice_then_is_the_same_and_closed(tmp_path: Path) -> None:
    """It is made at the first use, for its owner alone, whatever the mask is."""
    before = os.umask(0)
    try:
        first = SigningKey.of(tmp_path / "stack")
    finally:
        os.umask(before)
    assert SigningKey.of(tmp_path / "stack").public == first.public
    assert (tmp_path / "stack" / NAME).stat().st_mode & 0o777 == 0o600
    assert SigningKey.of(tmp_path / "other").public != first.public


@pytest.mark.parametrize(("content", "mode"), [(b"short", 0o600), (bytes(32), 0o644)])
def test_key_when_it_is_none_or_open_then_is_refused(
    content: bytes, mode: int, tmp_path: Path
) -> None:
    """A key that others could read signs nothing."""
    (tmp_path / NAME).write_bytes(content)
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(StoreConflict, match="expected 32 bytes and mode 600"):
        SigningKey.of(tmp_path)


@pytest.mark.parametrize(
    ("data", "signature", "public"),
    [
        (b"\x73", SIGNATURE, PUBLIC),
        (b"\x72", "00" * 64, PUBLIC),
        (b"\x72", "no hex", PUBLIC),
        (b"\x72", SIGNATURE, "ff"),
    ],
)
def test_signature_when_anything_differs_then_is_none(
    data: bytes, signature: str, public: str
) -> None:
    """Other bytes, another signature, garbage."""
    assert not is_signed(data, signature, public)
