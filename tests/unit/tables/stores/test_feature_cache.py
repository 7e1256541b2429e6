"""The cache of features without Redis: packing, the level of the process, and who asks at once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.stores.feature_cache import CachedRow, CacheKey, FeatureCache

KEY = CacheKey("EURUSD.OANDA", "1min", "v1.0.0")
ROW = CachedRow(7, (1.0, -0.5, 0.0))


def test_key_when_written_then_is_the_contracts() -> None:
    """``feature:{symbol}:{timeframe}:{version}``."""
    assert KEY.text() == "feature:EURUSD.OANDA:1min:v1.0.0"


@given(st.integers(-(2**63), 2**63 - 1), st.lists(st.floats(width=64), max_size=70))
def test_row_when_packed_then_comes_back_bit_for_bit(close_ns: int, values: list[float]) -> None:
    """NaN and signed zero are values too."""
    row = CachedRow(close_ns, tuple(values))
    found = CachedRow.unpack(row.pack())
    assert found is not None
    # The texts tell NaN from numbers and one zero from the other.
    assert (found.close_ns, str(found.features)) == (close_ns, str(row.features))


@given(st.data())
def test_row_when_a_byte_is_another_then_is_no_row(data: st.DataObject) -> None:
    """Cut anywhere or changed anywhere: the checksum tells."""
    packed = ROW.pack()
    at = data.draw(st.integers(0, len(packed) - 1))
    by = data.draw(st.integers(1, 255))
    assert CachedRow.unpack(packed[:at]) is None
    damaged = bytearray(packed)
    damaged[at] ^= by
    assert CachedRow.unpack(bytes(damaged)) is None


@given(st.binary(max_size=600))
def test_row_when_it_is_nonsense_then_is_no_row(value: bytes) -> None:
    """Whatever somebody wrote under our key."""
    assert CachedRow.unpack(value) is None


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
