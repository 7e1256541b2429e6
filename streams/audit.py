"""What is sealed of a decision, and the signed heads: bytes that are the same in every language.

Both are objects of text and whole numbers whose fields stand in the order of their names, so that
the encoder's bytes are the canonical ones of RFC 8785 (Rundgren, Jordan and Erdtman 2020). The
decision itself is sealed by the SHA-256 of the bytes that Kafka gave: a changed number is noticed,
and so is a changed blank.
"""

import hashlib
from base64 import b64decode
from binascii import b2a_base64

import msgspec

from streams.dead_letters import Headers

_JSON = msgspec.json.Encoder()

NO_HEAD = "0" * 64
"""What the first head of a partition names as the one before it."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """One record of ``trading-decisions`` as its chain has it; ``seq`` counts within a partition.

    Bytes are base64, ``timestamp_ms`` is Kafka's.
    """

    headers: list[tuple[str, str]]
    key: str | None
    offset: int
    partition: int
    run: str
    seq: int
    stack: str
    timestamp_ms: int
    value_sha256: str | None

    def canonical(self) -> bytes:
        """Return the bytes that are hashed."""
        return _JSON.encode(self)


def texts(headers: Headers) -> list[tuple[str, str]]:
    """Return headers as they are sealed."""
    return [(name, as_text(value)) for name, value in headers]


def header_bytes(sealed: list[tuple[str, str]]) -> Headers:
    """Return sealed headers as Kafka has them."""
    return [(name, b64decode(value)) for name, value in sealed]


def as_text(data: bytes) -> str:
    """Return bytes as base64."""
    return b2a_base64(data, newline=False).decode()


class AuditHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows of one partition, signed together, on ``audit-heads``; hashes are hex.

    ``root`` is that of the hash tree (RFC 6962) over the rows ``first_seq`` to ``last_seq``,
    ``chain`` the link of the last one. ``previous`` is the SHA-256 of the head ``number - 1`` as it
    was published. ``key_id`` is the SHA-256 of the public key's 32 bytes, ``signature`` Ed25519
    (RFC 8032) over the same object without it.
    """

    chain: str
    first_seq: int
    key_id: str
    last_offset: int
    last_seq: int
    number: int
    partition: int
    previous: str
    root: str
    run: str
    sealed_ms: int
    signature: str = ""
    stack: str

    def canonical(self) -> bytes:
        """Return its bytes, with the signature if it has one."""
        return _JSON.encode(self)

    def digest(self) -> str:
        """Return what the next head names it by."""
        return hashlib.sha256(self.canonical()).hexdigest()


_HEAD = msgspec.json.Decoder(AuditHead)


def read_head(raw: bytes | str) -> AuditHead:
    """Decode a published head.

    Raises
    ------
    msgspec.ValidationError, msgspec.DecodeError
        If it is none.
    """
    return _HEAD.decode(raw)
