"""Keys that sign tokens, what was issued by them, and what was revoked: files of one folder.

``KID.private.pem`` is needed where tokens are issued and nowhere else; who only checks them needs
``KID.public.pem`` and ``revoked.jsonl``. The text of a token is kept nowhere.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from streams.clock import random_id, wall_ns
from streams.errors import SettingsError
from streams.instructions import Role
from tables.stores.lines import append_line
from tables.stores.replacing import replacing

log = logging.getLogger("tradewind.tokens")

_PRIVATE, _PUBLIC = ".private.pem", ".public.pem"
_KID_CHARACTERS = 12

Line = TypeVar("Line", bound=msgspec.Struct)

_JSON = msgspec.json.Encoder()


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it was issued; times in seconds since 1970, as the token has them."""

    jti: str
    kid: str
    subject: str
    role: Role
    portfolios: list[str]
    issued_s: int
    expires_s: int
    by: str


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """That a token is no longer accepted, since when, by whom and why."""

    jti: str
    revoked_s: int
    by: str
    reason: str


class TokenKeys:
    """The folder of a stack's keys.

    Parameters
    ----------
    folder
        Made on first use, for its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._public: dict[str, Ed25519PublicKey] = {}
        self._changed_ns = 0
        # Files that are no keys, as they were when they were read.
        self._bad_ns: dict[Path, int] = {}
        self._revoked: frozenset[str] = frozenset()
        self._stamp: tuple[int, int] | None = None

    def signing_key(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the newest key with its id, one that is made now if there is none."""
        files = sorted(self.folder.glob(f"*{_PRIVATE}"), key=lambda path: path.stat().st_mtime_ns)
        if not files:
            return self.rotate()
        private: object = None
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            private = load_pem_private_key(files[-1].read_bytes(), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise SettingsError(f"{files[-1]} is no Ed25519 key; move it away, a new one is made")
        return files[-1].name.removesuffix(_PRIVATE), private

    def rotate(self) -> tuple[str, Ed25519PrivateKey]:
        """Make a new key; tokens of older ones stay good while their public half is there."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kid, private = random_id()[:_KID_CHARACTERS], Ed25519PrivateKey.generate()
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write(self.folder / f"{kid}{_PUBLIC}", public, 0o644)
        _write(self.folder / f"{kid}{_PRIVATE}", pem, 0o600)
        return kid, private

    def public_key(self, kid: str) -> Ed25519PublicKey | None:
        """Return a public key by its id; an id is a name of this folder's files and no path."""
        changed_ns = _changed_ns(self.folder)
        bad_ns = {path: _changed_ns(path) for path in self._bad_ns}
        if (changed_ns, bad_ns) != (self._changed_ns, self._bad_ns):
            self._read_keys()
            self._changed_ns = changed_ns
        return self._public.get(kid)

    def retire(self, kid: str) -> None:
        """Accept no token of a key any more, whoever signed it.

        Raises
        ------
        SettingsError
            If there is no such key.
        """
        public = {path.name.removesuffix(_PUBLIC): path for path in self.folder.glob(f"*{_PUBLIC}")}
        if kid not in public:
            known = ", ".join(sorted(public)) or "none"
            raise SettingsError(f"there is no key {kid!r} here; there are: {known}")
        public[kid].unlink()
        (self.folder / f"{kid}{_PRIVATE}").unlink(missing_ok=True)

    def _read_keys(self) -> None:
        """Read all keys; what is none is said once, and keeps no other from being good."""
        self._public.clear()
        self._bad_ns.clear()
        for path in sorted(self.folder.glob(f"*{_PUBLIC}")):
            changed_ns = _changed_ns(path)
            try:
                key = load_pem_public_key(path.read_bytes())
            except (ValueError, UnsupportedAlgorithm, OSError) as error:
                log.warning("%s is no key: %s; no token of it is accepted", path, error)
                self._bad_ns[path] = changed_ns
                continue
            if isinstance(key, Ed25519PublicKey):
                self._public[path.name.removesuffix(_PUBLIC)] = key

    def note_issued(self, issued: Issued) -> None:
        """Keep that a token was issued."""
        append_line(self.folder / "issued.jsonl", _JSON.encode(issued))

    def issued(self) -> list[Issued]:
        """Return what was issued, in order."""
        return _lines(self.folder / "issued.jsonl", Issued)

    def revoke(self, jti: str, by: str, reason: str) -> None:
        """Accept a token no more; who checks tokens sees it within a second.

        Raises
        ------
        SettingsError
            If no such token was issued here.
        """
        if jti not in {one.jti for one in self.issued()}:
            raise SettingsError(f"token {jti!r} was not issued here; see: tradewind token list")
        now_s = wall_ns() // 1_000_000_000
        said = Revoked(jti=jti, revoked_s=now_s, by=by, reason=reason)
        append_line(self.folder / "revoked.jsonl", _JSON.encode(said))

    def revocations(self) -> list[Revoked]:
        """Return what was revoked, in order."""
        return _lines(self.folder / "revoked.jsonl", Revoked)

    def is_revoked(self, jti: str) -> bool:
        """Tell whether a token was revoked; the file is read again when it has changed."""
        try:
            found = (self.folder / "revoked.jsonl").stat()
        except FileNotFoundError:
            # One that was there and is gone makes no token good again.
            return jti in self._revoked
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._revoked = frozenset(one.jti for one in self.revocations())
            self._stamp = stamp
        return jti in self._revoked


def _write(path: Path, data: bytes, mode: Literal[0o600, 0o644]) -> None:
    with replacing(path) as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)


def _changed_ns(path: Path) -> int:
    """Return when a file or folder was changed; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _lines(path: Path, kind: type[Line]) -> list[Line]:
    """Return the lines of a file; one that a crash has torn was told to nobody: it is logged."""
    found = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except msgspec.MsgspecError as error:
            log.warning("%s, line %d is not what was written: %s; look at it", path, number, error)
    return found
