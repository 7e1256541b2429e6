"""The cache of features: this process first, Redis second, and whoever has the bar itself third.

One packed vector a symbol, timeframe and pipeline version. A value carries the close of its bar: it
is served for that bar and no other. Redis is a convenience: what it does not answer in time, has
lost or has wrong is made anew, and trading waits for none of it.
"""

import asyncio
import logging
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
from cachetools import TTLCache
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from streams import clock, metrics

log = logging.getLogger("tradewind.feature_cache")

TTL_S = 300
_MOST_HELD = 20_000
# A Redis on loopback answers in under a millisecond; what takes longer costs more than it saves.
_PATIENCE_S = 0.1
_BREAK_AFTER = 3
_BROKEN_S = 5.0
_PER_PIPELINE = 100

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


Make = Callable[[], Awaitable[CachedRow]]
Answer = TypeVar("Answer")


class FeatureCache:
    """Both levels.

    Parameters
    ----------
    url
        Redis; empty to do without.
    """

    def __init__(self, url: str = "") -> None:
        self._held: TTLCache[CacheKey, CachedRow] = TTLCache(
            _MOST_HELD, TTL_S, timer=clock.monotonic_s
        )
        self._making: dict[tuple[CacheKey, int], asyncio.Future[CachedRow]] = {}
        self._breakers = AsyncCircuitBreakerFactory(_BREAK_AFTER, _BROKEN_S)
        self._redis = (
            Redis.from_url(
                url,
                socket_timeout=_PATIENCE_S,
                socket_connect_timeout=_PATIENCE_S,
                retry=Retry(NoBackoff(), 0),
                retry_on_timeout=False,
            )
            if url
            else None
        )
        self.trouble = "" if url else "REDIS_URL is not set: this process alone remembers"

    async def get(self, key: CacheKey, close_ns: int, make: Make) -> CachedRow:
        """Return the features of a bar, from the first level that has them.

        Those who ask for the same at once wait for one answer. Errors are those of ``make``.
        """
        held = self._held.get(key)
        if held is not None and held.close_ns == close_ns:
            metrics.CACHE_READS.labels("process", "hit").inc()
            return held
        metrics.CACHE_READS.labels("process", "miss").inc()
        asked = (key, close_ns)
        making = self._making.get(asked)
        if making is None:
            making = asyncio.ensure_future(self._find(key, close_ns, make))
            self._making[asked] = making
            making.add_done_callback(lambda _: self._making.pop(asked, None))
        # Who gives up does not take the answer from those who still wait.
        return await asyncio.shield(making)

    async def _find(self, key: CacheKey, close_ns: int, make: Make) -> CachedRow:
        row = await self._read(key)
        if row is not None and row.close_ns == close_ns:
            metrics.CACHE_READS.labels("redis", "hit").inc()
            self._held[key] = row
            return row
        if self._redis is not None:
            metrics.CACHE_READS.labels("redis", "miss").inc()
        row = await make()
        await self.put([(key, row)])
        return row

    async def _read(self, key: CacheKey) -> CachedRow | None:
        redis = self._redis
        if redis is None:
            return None

        async def read() -> CachedRow | None:
            value = await redis.get(key.text())
            row = CachedRow.unpack(value) if isinstance(value, bytes) else None
            if value is not None and row is None:
                metrics.CACHE_ERRORS.labels("damaged").inc()
            return row

        return await self._ask(read)

    async def put(self, rows: Iterable[tuple[CacheKey, CachedRow]]) -> None:
        """Keep rows in both levels; what Redis does not take is counted, and not waited for."""
        waiting = list(rows)
        for key, row in waiting:
            self._held[key] = row
        redis = self._redis
        if redis is None:
            return
        for at in range(0, len(waiting), _PER_PIPELINE):
            part = waiting[at : at + _PER_PIPELINE]

            async def write(part: list[tuple[CacheKey, CachedRow]] = part) -> None:
                async with redis.pipeline(transaction=False) as pipe:
                    for key, row in part:
                        pipe.set(key.text(), row.pack(), ex=TTL_S)
                    await pipe.execute()

            await self._ask(write)
            await asyncio.sleep(0)  # the loop has bars to decide

    async def _ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Ask Redis unless it has just failed several times; trouble is no answer, and counted."""
        try:
            async with await self._breakers.get_breaker("redis"), asyncio.timeout(_PATIENCE_S):
                answer = await ask()
        except OpenedState:
            metrics.CACHE_ERRORS.labels("open").inc()
            return None
        except (RedisError, TimeoutError, OSError) as error:
            metrics.CACHE_ERRORS.labels("away").inc()
            if not self.trouble:
                log.warning("Redis does not answer: %r; features are made anew meanwhile", error)
            self.trouble = f"Redis does not answer: {error!r}"
            return None
        if self.trouble:
            log.info("Redis answers")
            self.trouble = ""
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
