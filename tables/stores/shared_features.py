"""The shared level of the cache of features: Redis, asked in moderation.

What it does not answer in time, has lost or has wrong is no answer; whoever asks makes the row
anew. After some failures it is left alone for a moment. Imported when it is needed: its driver
takes longer to import than the rest of a worker.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from streams import clock, metrics
from tables.stores.cached_row import CachedRow, CacheKey, Whose

log = logging.getLogger("tradewind.feature_cache")

TTL_S = 300

# A Redis on loopback answers in under a millisecond; what takes longer costs more than it saves.
_PATIENCE_S = 0.1
_BREAK_AFTER = 3
_BROKEN_S = 5.0
_PER_PIPELINE = 100

Answer = TypeVar("Answer")


def _breakers() -> AsyncCircuitBreakerFactory:
    return AsyncCircuitBreakerFactory(_BREAK_AFTER, _BROKEN_S)


class SharedFeatures:
    """The rows in a Redis.

    Parameters
    ----------
    url
        Where it is.
    whose
        Whose rows are read and kept.
    """

    def __init__(self, url: str, whose: Whose) -> None:
        self.trouble = ""
        self._prefix = whose.prefix
        self._mark = whose.mark()
        self._breakers = _breakers()
        self._failed_s = -math.inf
        self._redis = Redis.from_url(
            url,
            socket_timeout=_PATIENCE_S,
            socket_connect_timeout=_PATIENCE_S,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
        )

    async def read(self, key: CacheKey) -> CachedRow | None:
        """Return a row; None if there is none that can be used."""

        async def read() -> CachedRow | None:
            value = await self._redis.get(key.text(self._prefix))
            row = CachedRow.unpack(value) if isinstance(value, bytes) else None
            if isinstance(value, bytes) and row is not None and not value.endswith(self._mark):
                metrics.CACHE_ERRORS.labels("foreign").inc()
                return None
            if value is not None and row is None:
                metrics.CACHE_ERRORS.labels("damaged").inc()
            return row

        return await self._ask(read)

    async def write(self, rows: Sequence[tuple[CacheKey, CachedRow]]) -> None:
        """Keep rows for five minutes; what is not taken is counted, and not waited for."""
        for at in range(0, len(rows), _PER_PIPELINE):
            part = rows[at : at + _PER_PIPELINE]

            async def write(part: Sequence[tuple[CacheKey, CachedRow]] = part) -> None:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for key, row in part:
                        pipe.set(key.text(self._prefix), row.pack(self._mark), ex=TTL_S)
                    await pipe.execute()

            await self._ask(write)
            await asyncio.sleep(0)  # the loop has bars to decide

    async def _ask(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Ask Redis unless it has just failed several times; trouble is no answer, and counted."""
        try:
            async with await self._breakers.get_breaker("redis"), asyncio.timeout(_PATIENCE_S):
                answer = await ask()
        except OpenedState:
            if clock.monotonic_s() - self._failed_s > _BROKEN_S:
                # It counts on the wall clock, which was set back: by so much it would stay open.
                self._breakers = _breakers()
            metrics.CACHE_ERRORS.labels("open").inc()
            metrics.BREAKER_OPEN.labels("redis").set(1)
            return None
        except (RedisError, TimeoutError, OSError) as error:
            self._failed_s = clock.monotonic_s()
            metrics.CACHE_ERRORS.labels("away").inc()
            if not self.trouble:
                log.warning("Redis does not answer: %r; features are made anew meanwhile", error)
            self.trouble = f"Redis does not answer: {error!r}"
            return None
        metrics.BREAKER_OPEN.labels("redis").set(0)
        if self.trouble:
            log.info("Redis answers")
            self.trouble = ""
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
