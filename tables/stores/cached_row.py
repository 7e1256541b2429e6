"""One symbol's features after a bar, as both levels of the cache keep them."""

import struct
import zlib
from typing import NamedTuple

import numpy as np

_HEAD = struct.Struct("<IqH")
_FLOAT = np.dtype("<f8")


class CachedRow(NamedTuple):
    """A symbol's features after a bar; NaN where they warm up."""

    close_ns: int
    features: tuple[float, ...]

    def pack(self) -> bytes:
        """Return the value as Redis keeps it: checksum, close, length, numbers."""
        numbers = np.asarray(self.features, _FLOAT).tobytes()
        body = _HEAD.pack(0, self.close_ns, len(self.features))[4:] + numbers
        return zlib.crc32(body).to_bytes(4, "little") + body

    @classmethod
    def unpack(cls, value: bytes) -> "CachedRow | None":
        """Read a value; None if it is not one of ours, or was damaged."""
        if len(value) < _HEAD.size:
            return None
        checksum, close_ns, n_features = _HEAD.unpack_from(value)
        if zlib.crc32(value[4:]) != checksum or len(value) != _HEAD.size + 8 * n_features:
            return None
        return cls(close_ns, tuple(np.frombuffer(value, _FLOAT, offset=_HEAD.size).tolist()))


class CacheKey(NamedTuple):
    """What a vector is of."""

    symbol: str
    timeframe: str
    version: str

    def text(self) -> str:
        """Return the key in Redis."""
        return f"feature:{self.symbol}:{self.timeframe}:{self.version}"
