"""The key that signs heads, and the file of heads: both where the database's owner cannot write."""

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from streams.audit import AuditHead, read_head
from streams.brokers.homes import private_folder
from streams.clock import random_id
from tables.stores.errors import StoreConflict
from tables.stores.replacing import replacing

_OWNER_ONLY = 0o600
_PUBLIC = "public.pem"


def audit_folder(home: Path) -> Path:
    """Return where a stack keeps its key, its heads and its archive of the trail."""
    return home / "audit"


class AuditKey:
    """The Ed25519 key of a stack.

    Parameters
    ----------
    private
        The key itself.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_pem = private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = hashlib.sha256(raw).hexdigest()

    @classmethod
    def of(cls, home: Path) -> "AuditKey":
        """Return the key of a stack; it is drawn at the first use.

        Raises
        ------
        StoreConflict
            If the file holds no such key.
        """
        folder = private_folder(audit_folder(home))
        path = folder / "signing.pem"
        if not path.exists():
            _draw(path)
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except ValueError as error:
            raise StoreConflict(f"{path} holds no private key: {error}; restore it") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise StoreConflict(f"{path} holds a key of another kind; expected Ed25519")
        key = cls(private)
        with replacing(folder / _PUBLIC) as file:
            file.write(key.public_pem)
        return key

    def sign(self, head: AuditHead) -> AuditHead:
        """Return a head with the key's id and the signature over its canonical bytes."""
        named = msgspec.structs.replace(head, key_id=self.id, signature="")
        signature = b64encode(self._private.sign(named.canonical())).decode()
        return msgspec.structs.replace(named, signature=signature)


def _draw(path: Path) -> None:
    """Make a key; of two who draw at once the first one's stays."""
    drawn = Ed25519PrivateKey.generate()
    draft = path.with_name(f"signing.{random_id()}")
    with draft.open("xb") as file:
        os.fchmod(file.fileno(), _OWNER_ONLY)
        file.write(drawn.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


def public_key_file(home: Path) -> Path:
    """Return where a stack keeps its public key; it is there once the role forensics has run."""
    return audit_folder(home) / _PUBLIC


def public_key(home: Path) -> bytes:
    """Return the public key of a stack as PEM.

    Raises
    ------
    StoreConflict
        If the role forensics has never run there.
    """
    path = public_key_file(home)
    if not path.exists():
        raise StoreConflict(f"{path} is missing: the role forensics makes it where it runs")
    return path.read_bytes()


def is_signed(head: AuditHead, public_pem: bytes) -> bool:
    """Tell whether a head bears the signature of a key.

    Raises
    ------
    StoreConflict
        If the PEM is no Ed25519 key.
    """
    try:
        key = load_pem_public_key(public_pem)
    except ValueError as error:
        raise StoreConflict(f"the public key of the trail cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise StoreConflict("the public key of the trail is of another kind; expected Ed25519")
    unsigned = msgspec.structs.replace(head, signature="")
    try:
        key.verify(b64decode(head.signature), unsigned.canonical())
    except (InvalidSignature, ValueError):
        return False
    return True


class HeadFile:
    """The heads of one partition of a run, one JSON line each, only ever appended to.

    Parameters
    ----------
    home, run, partition
        Whose heads they are.
    """

    def __init__(self, home: Path, run: str, partition: int) -> None:
        self.path = private_folder(audit_folder(home) / "heads") / f"{run}-{partition}.jsonl"

    def last(self) -> AuditHead | None:
        """Return the last head that is whole on disk; what a crash left of another is cut off."""
        if not self.path.exists():
            return None
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
        lines = whole.splitlines()
        return read_head(lines[-1]) if lines else None

    def append(self, heads: Iterable[AuditHead]) -> None:
        """Write heads, durable when this returns."""
        with self.path.open("ab") as file:
            for head in heads:
                file.write(head.canonical() + b"\n")
            file.flush()
            os.fsync(file.fileno())
