"""How often a caller may call: windows of a minute, counted in Redis where there is one.

A process counts by itself and tells Redis of some requests at once, because a question to Redis at
every request took a fifth of the processor's time of an answer. What it has not told yet is at most
2 % of a limit, so that is how far each further process can let a caller go beyond it. While Redis
does not answer each counts alone: a caller can do more for a while, and nobody is kept from trading
by a cache.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.storage import storage_from_string

from streams import clock, metrics
from tables.views.auth import Caller
from tables.views.problems import ProblemError
from tables.views.routes import Limited

log = logging.getLogger("tradewind.limits")

# Requests a minute and caller, by what they are.
PER_MINUTE: Mapping[Limited, int] = {"predict": 1_000, "risk": 500, "features": 2_000, "admin": 100}

_WINDOW_S = 60
# Of a limit, what may be counted here before the others hear of it.
_UNTOLD_FRACTION = 0.02
# A Redis on loopback answers in under a millisecond.
_PATIENCE_S = 0.1
# After trouble it is left alone for a moment: waiting for it at every request would slow all down.
_LEFT_ALONE_S = 5.0


@dataclass(slots=True)
class _Count:
    """A caller's requests of a minute: Redis's number and what came here since; what it lacks."""

    n: int = 0
    untold: int = 0
    is_shared: bool = False


class CallLimits:
    """Counts the requests of callers.

    Parameters
    ----------
    redis_url
        Where counts are shared; empty to count in this process alone.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._url = redis_url
        self._shared: Storage | None = None
        self._alone_until_s = 0.0
        self._minute = 0
        self._counts: dict[tuple[Limited, str], _Count] = {}

    async def open(self) -> None:
        """Share the counts from now on; Redis's driver is imported beside the loop."""
        if self._url:
            # redis-py says unix:// where this library says redis+unix://.
            shared = f"redis+{self._url}" if self._url.startswith("unix:") else self._url
            self._shared = await asyncio.to_thread(_counting, f"async+{shared}")

    async def count(self, caller: Caller, limited: Limited) -> dict[str, str]:
        """Count a request and return the headers that say what is left.

        Raises
        ------
        ProblemError
            429 if it is one too many.
        """
        most = PER_MINUTE[limited]
        # Minutes of the clock, so that all processes mean the same one.
        minute, second = divmod(clock.wall_ns() // 10**9, _WINDOW_S)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        count = self._counts.setdefault((limited, caller.jti), _Count())
        count.n += 1
        count.untold += 1
        shared, is_due = self._shared, count.untold >= _UNTOLD_FRACTION * most
        if shared is not None and (is_due or not count.is_shared):
            key = RateLimitItemPerMinute(most).key_for(limited, caller.jti, str(minute))
            await self._tell(shared, key, count)
        reset_s = _WINDOW_S - second
        headers = {
            "RateLimit-Policy": f'"{limited}";q={most};w={_WINDOW_S}',
            "RateLimit": f'"{limited}";r={max(most - count.n, 0)};t={reset_s}',
        }
        if count.n <= most:
            return headers
        raise ProblemError(
            429,
            "TOO_MANY_REQUESTS",
            f"{most} {limited} requests a minute are allowed; go on in {reset_s} s",
            headers={**headers, "Retry-After": str(reset_s)},
        )

    async def _tell(self, shared: Storage, key: str, count: _Count) -> None:
        """Add to Redis's number what it lacks, and go on from there; or count alone."""
        if clock.monotonic_s() < self._alone_until_s:
            return
        # What comes while Redis is asked is for the next time.
        told, count.untold, count.is_shared = count.untold, 0, True
        try:
            async with asyncio.timeout(_PATIENCE_S):
                known = await shared.incr(key, _WINDOW_S, told)
        except Exception as error:  # noqa: BLE001  whatever the driver raises: Redis is away
            count.untold += told
            self._alone_until_s = clock.monotonic_s() + _LEFT_ALONE_S
            metrics.CACHE_ERRORS.labels("limits").inc()
            log.warning("Redis does not count: %r; this process counts alone", error)
        else:
            count.n = max(count.n, known + count.untold)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            # The library has no way to close its client.
            shared: Any = self._shared
            await shared.bridge.get_connection().aclose()


def _counting(uri: str) -> Storage:
    storage = storage_from_string(uri, implementation="redispy")
    if not isinstance(storage, Storage):
        raise TypeError(f"{uri} is no asynchronous storage")
    return storage
