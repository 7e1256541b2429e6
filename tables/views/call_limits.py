"""How often a caller may call: windows of a minute, counted in Redis where there is one.

Several workers share the counts through Redis. While it does not answer each counts for itself, so
a caller can do more for a while, and nobody is kept from trading by a cache.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import FixedWindowRateLimiter
from limits.storage import storage_from_string

from streams import clock, metrics
from tables.views.auth import Caller
from tables.views.problems import ProblemError
from tables.views.routes import Limited

log = logging.getLogger("tradewind.limits")

# Requests a minute and caller, by what they are.
PER_MINUTE: Mapping[Limited, int] = {"predict": 1_000, "risk": 500, "features": 2_000, "admin": 100}

_WINDOW_S = 60
# A Redis on loopback answers in under a millisecond.
_PATIENCE_S = 0.1
# After trouble it is left alone for a moment: waiting for it at every request would slow all down.
_LEFT_ALONE_S = 5.0


class _Counting(NamedTuple):
    strategy: FixedWindowRateLimiter
    storage: Storage


class CallLimits:
    """Counts the requests of callers.

    Parameters
    ----------
    redis_url
        Where counts are shared; empty to count in this process alone.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._own = _counting("async+memory://")
        # redis-py says unix:// where this library says redis+unix://.
        shared = f"redis+{redis_url}" if redis_url.startswith("unix:") else redis_url
        self._shared = _counting(f"async+{shared}") if redis_url else None
        self._alone_until_s = 0.0

    async def count(self, caller: Caller, limited: Limited) -> dict[str, str]:
        """Count a request and return the headers that say what is left.

        Raises
        ------
        ProblemError
            429 if it is one too many.
        """
        item = RateLimitItemPerMinute(PER_MINUTE[limited])
        passed, left, reset_s = await self._count(item, limited, caller.jti)
        headers = {
            "RateLimit-Policy": f'"{limited}";q={item.amount};w={_WINDOW_S}',
            "RateLimit": f'"{limited}";r={left};t={reset_s}',
        }
        if passed:
            return headers
        raise ProblemError(
            429,
            "TOO_MANY_REQUESTS",
            f"{item.amount} {limited} requests a minute are allowed; go on in {reset_s} s",
            headers={**headers, "Retry-After": str(max(reset_s, 1))},
        )

    async def _count(
        self, item: RateLimitItemPerMinute, limited: Limited, who: str
    ) -> tuple[bool, int, int]:
        if self._shared is not None and clock.monotonic_s() >= self._alone_until_s:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    return await _hit(self._shared, item, limited, who)
            except Exception as error:  # noqa: BLE001  whatever the driver raises: Redis is away
                self._alone_until_s = clock.monotonic_s() + _LEFT_ALONE_S
                metrics.CACHE_ERRORS.labels("limits").inc()
                log.warning("Redis does not count: %r; this process counts alone", error)
        return await _hit(self._own, item, limited, who)

    async def close(self) -> None:
        """Close the connections to Redis."""
        storage = None if self._shared is None else self._shared.storage
        if isinstance(storage, RedisStorage) and isinstance(storage.bridge, RedispyBridge):
            client: Any = storage.bridge.get_connection()
            await client.aclose()


def _counting(uri: str) -> _Counting:
    storage = storage_from_string(uri, **({} if "memory" in uri else {"implementation": "redispy"}))
    if not isinstance(storage, Storage | MemoryStorage):
        raise TypeError(f"{uri} is no asynchronous storage")
    return _Counting(FixedWindowRateLimiter(storage), storage)


async def _hit(
    counting: _Counting, item: RateLimitItemPerMinute, limited: Limited, who: str
) -> tuple[bool, int, int]:
    passed = await counting.strategy.hit(item, limited, who)
    window = await counting.strategy.get_window_stats(item, limited, who)
    reset_s = max(int(window.reset_time - clock.wall_ns() / 1e9) + 1, 0)
    return passed, max(window.remaining, 0), reset_s
