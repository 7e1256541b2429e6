"""Keys and tokens as files: closed to others, by name and never by path, kept in order."""

import errno
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from streams.errors import SettingsError
from tables.stores.token_keys import Issued, TokenKeys


def issued(keys: TokenKeys, jti: str) -> Issued:
    """Keep that a token was issued."""
    kid, _ = keys.signing_key()
    said = Issued(
        jti=jti,
        kid=kid,
        subject="ann",
        role="trader",
        portfolios=["*"],
        issued_s=1,
        expires_s=2,
        by="a test",
    )
    keys.note_issued(said)
    return said


def test_key_when_made_then_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """Folder 700, private half 600; the next process finds the same key."""
    keys = TokenKeys(tmp_path / "auth")
    kid, private = keys.signing_key()
    folder = stat.S_IMODE((tmp_path / "auth").stat().st_mode)
    file = stat.S_IMODE((tmp_path / "auth" / f"{kid}.private.pem").stat().st_mode)
    assert (folder, file) == (0o700, 0o600)
    again, same = TokenKeys(tmp_path / "auth").signing_key()
    assert (again, same.private_bytes_raw()) == (kid, private.private_bytes_raw())


def test_key_when_asked_by_anything_but_its_id_then_there_is_none(tmp_path: Path) -> None:
    """An id is looked up among the keys that were read, so no path can be one."""
    keys = TokenKeys(tmp_path / "auth")
    kid, private = keys.signing_key()
    found = keys.public_key(kid)
    assert found is not None
    assert found.public_bytes_raw() == private.public_key().public_bytes_raw()
    for name in ("", ".", "../auth/" + kid, f"{kid}.public.pem", kid.upper() + "x"):
        assert keys.public_key(name) is None


def test_key_when_it_is_of_another_kind_then_says_which_file(tmp_path: Path) -> None:
    """A key of OpenSSL's default kind in our folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for damaged in (pem, b"", b"\xff"):
        (tmp_path / "odd.private.pem").write_bytes(damaged)
        with pytest.raises(SettingsError, match=r"odd\.private\.pem is no Ed25519 key"):
            TokenKeys(tmp_path).signing_key()


def test_key_when_a_file_is_damaged_then_the_others_are_good_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk left an empty file; restored in place, its key is good again."""
    keys = TokenKeys(tmp_path)
    (kid, _), (other, _) = keys.rotate(), keys.rotate()
    path = tmp_path / f"{kid}.public.pem"
    pem = path.read_bytes()
    path.write_bytes(b"")
    assert keys.public_key(other) is not None
    assert [keys.public_key(kid) for _ in range(3)] == [None] * 3
    said = f"{path} is no key"
    assert sum(said in record.getMessage() for record in caplog.records) == 1
    path.write_bytes(pem)
    os.utime(path, ns=(0, 1))  # whatever the clock of the file system can tell apart
    assert keys.public_key(kid) is not None


def test_key_when_the_disk_is_full_then_none_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who checks tokens at that moment must not read the beginning of a key."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tables.stores.replacing.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        TokenKeys(tmp_path).rotate()
    assert list(tmp_path.iterdir()) == []


def test_token_when_revoked_then_every_process_sees_it(tmp_path: Path) -> None:
    """Another reader of the folder, which had looked before."""
    keys, other = TokenKeys(tmp_path), TokenKeys(tmp_path)
    said = [issued(keys, jti) for jti in ("a", "b")]
    assert keys.issued() == said
    assert (other.is_revoked("a"), other.is_revoked("b")) == (False, False)
    keys.revoke("a", "bob", "lost")
    assert (other.is_revoked("a"), other.is_revoked("b")) == (True, False)
    (revoked,) = keys.revocations()
    assert (revoked.jti, revoked.by, revoked.reason) == ("a", "bob", "lost")


def test_token_when_never_issued_then_cannot_be_revoked(tmp_path: Path) -> None:
    """A slip of the pen must not look like safety."""
    with pytest.raises(SettingsError, match="was not issued here"):
        TokenKeys(tmp_path).revoke("nobody", "bob", "lost")


def test_token_when_a_crash_tore_a_line_then_the_others_count_and_the_next_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a revocation was told to nobody; it shuts nobody out, and does not eat the next one."""
    keys = TokenKeys(tmp_path)
    for jti in ("one", "two"):
        issued(keys, jti)
    keys.revoke("one", "bob", "lost")
    with (tmp_path / "revoked.jsonl").open("ab") as file:
        file.write(b'{"jti":"tw')
    assert (keys.is_revoked("one"), keys.is_revoked("two")) == (True, False)
    assert "line 2 is not what was written" in caplog.text
    keys.revoke("two", "bob", "lost too")
    assert (keys.is_revoked("one"), keys.is_revoked("two")) == (True, True)
