"""The cache of features without Redis: packing, the level of the process, and who asks at once."""

import asyncio

import pytest

from tables.stores.cached_row import CachedRow, CacheKey
from tables.stores.feature_cache import FeatureCache

KEY = CacheKey("EURUSD.OANDA", "1min", "v1.0.0")
ROW = CachedRow(7, (1.0, -0.5, 0.0))


async def test_get_when_asked_again_then_is_made_once_a_bar() -> None:
    """The next bar is another value; the old one is never given for it."""
    cache, made = FeatureCache(), []

    async def make(close_ns: int) -> CachedRow:
        made.append(close_ns)
        return ROW._replace(close_ns=close_ns)

    for close_ns in (7, 7, 8, 8, 7):
        row = await cache.get(KEY, close_ns, lambda close_ns=close_ns: make(close_ns))
        assert row.close_ns == close_ns
    assert made == [7, 8, 7]


async def test_get_when_many_ask_at_once_then_is_made_once() -> None:
    """No stampede; and who gives up takes the answer from nobody."""
    cache, gate, made = FeatureCache(), asyncio.Event(), 0

    async def make() -> CachedRow:
        nonlocal made
        made += 1
        await gate.wait()
        return ROW

    asking = [asyncio.create_task(cache.get(KEY, 7, make)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert made == 1
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [ROW] * 19


async def test_get_when_making_fails_then_the_next_one_tries_again() -> None:
    """An error is nobody's value."""
    cache = FeatureCache()

    async def broken() -> CachedRow:
        raise RuntimeError("no bar")

    async def make() -> CachedRow:
        return ROW

    with pytest.raises(RuntimeError, match="no bar"):
        await cache.get(KEY, 7, broken)
    assert await cache.get(KEY, 7, make) == ROW


async def test_get_when_it_was_put_then_nothing_is_made() -> None:
    """Warmed: the bar's rows are there before anybody asks."""
    cache = FeatureCache()

    async def never() -> CachedRow:
        raise AssertionError("it was warmed")

    await cache.put([(KEY, ROW)])
    assert await cache.get(KEY, 7, never) == ROW
