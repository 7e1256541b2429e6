"""One symbol's features after a bar, as both levels of the cache keep them."""

import hashlib
import struct
import zlib
from typing import NamedTuple

import numpy as np

_HEAD = struct.Struct("<IqH")
_FLOAT = np.dtype("<f8")
_MARK_BYTES = 16


class Whose(NamedTuple):
    """Whose rows: several stacks and runs can share a Redis, and none reads those of another.

    Attributes
    ----------
    stack
        Id of the stack.
    prefix
        Of the run's topics; empty for the live one, whose keys have none either.
    """

    stack: str = ""
    prefix: str = ""

    def mark(self) -> bytes:
        """Return the bytes behind each of their values."""
        return hashlib.sha256(f"{self.stack}\x1f{self.prefix}".encode()).digest()[:_MARK_BYTES]


ALONE = Whose()
"""Where nothing is shared."""


class CachedRow(NamedTuple):
    """A symbol's features after a bar; NaN where they warm up."""

    close_ns: int
    features: tuple[float, ...]

    def pack(self, mark: bytes) -> bytes:
        """Return the value as Redis keeps it: checksum, close, length, numbers, whose it is."""
        numbers = np.asarray(self.features, _FLOAT).tobytes()
        body = _HEAD.pack(0, self.close_ns, len(self.features))[4:] + numbers + mark
        return zlib.crc32(body).to_bytes(4, "little") + body

    @classmethod
    def unpack(cls, value: bytes) -> "CachedRow | None":
        """Read a value; None if it is not one of ours, or was damaged."""
        if len(value) < _HEAD.size:
            return None
        checksum, close_ns, n_features = _HEAD.unpack_from(value)
        size = _HEAD.size + 8 * n_features + _MARK_BYTES
        if zlib.crc32(value[4:]) != checksum or len(value) != size:
            return None
        numbers = np.frombuffer(value, _FLOAT, n_features, _HEAD.size)
        return cls(close_ns, tuple(numbers.tolist()))


class CacheKey(NamedTuple):
    """What a vector is of."""

    symbol: str
    timeframe: str
    version: str

    def text(self, prefix: str = "") -> str:
        """Return the key in Redis: that of a run that is not the live one begins as its topics."""
        return f"{prefix}feature:{self.symbol}:{self.timeframe}:{self.version}"
