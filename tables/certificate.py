"""The certificate of a replay: what was replayed, by what, on what, and the hash that came of it.

The body is canonical JSON; the signature is Ed25519 (RFC 8032) over its bytes. The public key
travels along: it says that the body is as its signer left it, and who that was only to those who
know the key from elsewhere.
"""

from typing import Any

import msgspec

from streams.errors import StreamError
from tables.stores.artifacts import canonical_json
from tables.stores.signing_key import SigningKey, is_signed

VERSION = 1


class CertificateError(StreamError):
    """A certificate cannot be used.

    Operator action: take the file as it was written; another replay writes another.
    """


class Certified(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a certificate.

    Attributes
    ----------
    topic, run, begins, ends, book_ends
        What was replayed: offsets by partition, the last ones not included; and how far the book's
        log was read.
    last_ns, asked
        The last close, and the range as it was asked for.
    epochs, models
        Digests of what decided.
    config
        SHA-256 of the epochs' documents without what decides nothing: partitions and clock.
    total, portfolios, n_decisions
        The hash of all decisions, those of each portfolio, and how many there are.
    n_records
        Records of people and venues that acted again.
    book
        ``recorded`` if they did, ``fresh`` else.
    machine
        Where it was decided.
    """

    version: int = VERSION
    topic: str
    run: str
    begins: list[int]
    ends: list[int]
    book_ends: list[int]
    last_ns: int
    asked: list[str | None]
    epochs: list[str]
    models: list[str]
    config: str
    total: str
    portfolios: dict[str, str]
    n_decisions: int
    n_records: int
    book: str
    machine: dict[str, Any]

    def bytes(self) -> bytes:
        """Return what is signed."""
        return canonical_json(msgspec.to_builtins(self))


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body with its signature and the public key, both in hex."""

    body: Certified
    public_key: str
    signature: str

    @classmethod
    def sign(cls, body: Certified, key: SigningKey) -> "Certificate":
        """Return the signed certificate."""
        return cls(body=body, public_key=key.public, signature=key.sign(body.bytes()))

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Certificate":
        """Read a certificate and check its signature.

        Raises
        ------
        CertificateError
            If the bytes are none, of another version, or not what was signed.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CertificateError(f"{len(data)} bytes are no certificate: {error}") from error
        if found.body.version != VERSION:
            raise CertificateError(
                f"the certificate has version {found.body.version}; expected {VERSION}"
            )
        if not is_signed(found.body.bytes(), found.signature, found.public_key):
            raise CertificateError(
                "the certificate's body is not what its key signed; expected the file as it was "
                "written"
            )
        return found
