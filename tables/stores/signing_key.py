"""The key that a stack signs with: made once, for its owner's eyes only."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tables.stores.errors import StoreConflict, StoreUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME = "signing.key"

_OWNER_ONLY = 0o600
_KEY_BYTES = 32


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key.

    Attributes
    ----------
    public
        The public key in hex.
    """

    key: "Ed25519PrivateKey"
    public: str

    @classmethod
    def of(cls, home: Path) -> "SigningKey":
        """Return the key of a stack, drawn at the first call and kept in its folder.

        Raises
        ------
        StoreConflict
            If the file is no key, or others may read it.
        StoreUnavailable
            If the library for it is not installed.
        """
        ed25519 = _ed25519()
        path = home / NAME
        if not path.exists():
            home.mkdir(parents=True, exist_ok=True)
            raw = ed25519.Ed25519PrivateKey.generate().private_bytes_raw()
            partial = path.with_suffix(f".{os.getpid()}")
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
            partial.rename(path)
        raw, mode = path.read_bytes(), path.stat().st_mode & 0o777
        if len(raw) != _KEY_BYTES or mode != _OWNER_ONLY:
            raise StoreConflict(
                f"{path} has {len(raw)} bytes and mode {mode:o}; expected {_KEY_BYTES} bytes and "
                f"mode {_OWNER_ONLY:o}: correct it, or remove it to have another key"
            )
        key = ed25519.Ed25519PrivateKey.from_private_bytes(raw)
        return cls(key, key.public_key().public_bytes_raw().hex())

    def sign(self, data: bytes) -> str:
        """Return the signature of some bytes in hex."""
        return self.key.sign(data).hex()


def is_signed(data: bytes, signature: str, public: str) -> bool:
    """Tell whether the signature, in hex, is that of the key over the bytes.

    Raises
    ------
    StoreUnavailable
        If the library for it is not installed.
    """
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  only here it is needed

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _ed25519() -> Any:  # noqa: ANN401  a module
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "certificates are signed by cryptography, which is not installed: install the extra "
            "`backtest`"
        ) from error
    return ed25519
