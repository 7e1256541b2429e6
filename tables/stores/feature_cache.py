"""The cache of features: this process first, Redis second, and whoever has the bar itself third.

One packed vector a symbol, timeframe and pipeline version. A value carries the close of its bar: it
is served for that bar and no other. Redis is a convenience, and trading waits for none of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Protocol

from cachetools import TTLCache

from streams import clock, metrics
from tables.stores.cached_row import ALONE, CachedRow, CacheKey, Whose

TTL_S = 300
_MOST_HELD = 20_000

Make = Callable[[], Awaitable[CachedRow]]


class _Shared(Protocol):
    """What the level behind this process does."""

    trouble: str

    async def read(self, key: CacheKey) -> CachedRow | None:
        """Return a row; None if there is none that can be used."""

    async def write(self, rows: list[tuple[CacheKey, CachedRow]]) -> None:
        """Keep rows."""

    async def close(self) -> None:
        """Close the connections."""


class FeatureCache:
    """Both levels.

    Parameters
    ----------
    url
        Redis; empty to do without.
    whose
        Whose rows are read and kept there.
    """

    def __init__(self, url: str = "", whose: Whose = ALONE) -> None:
        self._url = url
        self._whose = whose
        self._held: TTLCache[CacheKey, CachedRow] = TTLCache(
            _MOST_HELD, TTL_S, timer=clock.monotonic_s
        )
        self._making: dict[tuple[CacheKey, int], asyncio.Future[CachedRow]] = {}
        self._shared: _Shared | None = None

    async def open(self) -> None:
        """Have the shared level too, from now on; its driver is imported beside the loop."""
        if self._url:
            module = await asyncio.to_thread(import_module, "tables.stores.shared_features")
            self._shared = module.SharedFeatures(self._url, self._whose)

    @property
    def trouble(self) -> str:
        """What is the matter with the shared level; empty if nothing is."""
        if self._shared is None:
            return "it is not open yet" if self._url else "REDIS_URL is not set: it is done without"
        return self._shared.trouble

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
        if self._shared is not None:
            row = await self._shared.read(key)
            if row is not None and row.close_ns == close_ns:
                metrics.CACHE_READS.labels("redis", "hit").inc()
                self._held[key] = row
                return row
            metrics.CACHE_READS.labels("redis", "miss").inc()
        row = await make()
        await self.put([(key, row)])
        return row

    async def put(self, rows: Iterable[tuple[CacheKey, CachedRow]]) -> None:
        """Keep rows in both levels."""
        waiting = list(rows)
        for key, row in waiting:
            self._held[key] = row
        if self._shared is not None:
            await self._shared.write(waiting)

    async def close(self) -> None:
        """Close the connections."""
        if self._shared is not None:
            await self._shared.close()
