"""The cache of features on a real Redis: shared, lost, frozen, flushed, full of nonsense."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from agents.run.workers import Children
from streams import metrics
from streams.brokers.waiting import wait_for
from tables.stores.cached_row import ALONE, CachedRow, CacheKey, Whose
from tables.stores.feature_cache import TTL_S, FeatureCache
from tables.stores.servers import redis as servers

KEY = CacheKey("AAA", "1min", "v1.0.0")
ROW = CachedRow(7, (1.0, float("nan"), -2.0))
CUT = ROW.pack(ALONE.mark())[:-1]


class Server:
    """A Redis of a test's own, by its process."""

    def __init__(self, root: Path) -> None:
        self.home = root / "stack"
        self.children = Children(root / "logs", {"TRADEWIND_HOME": str(root)})
        self.server = servers.server_of(self.home)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.children.start("redis", "redis", "--name=stack")
        assert wait_for(lambda: asyncio.run(self.server.answers()), timeout_s=servers.READY_S)

    def sign(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.children.running["redis"].pid, number)

    def stop(self) -> None:
        """End it."""
        self.children.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a Redis that runs."""
    found = Server(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    """Give a client of the Redis, which is empty."""
    found = Redis.from_url(server.server.url)
    await found.flushall()
    yield found
    await found.aclose()


async def opened(server: Server, whose: Whose = ALONE) -> FeatureCache:
    """Give a cache with both levels."""
    cache = FeatureCache(server.server.url, whose)
    await cache.open()
    return cache


async def made(cache: FeatureCache, close_ns: int = 7) -> bool:
    """Ask, and tell whether the row had to be made."""
    asked = []

    async def make() -> CachedRow:
        asked.append(close_ns)
        return ROW._replace(close_ns=close_ns)

    row = await cache.get(KEY, close_ns, make)
    assert row.close_ns == close_ns
    return bool(asked)


def errors(what: str) -> float:
    """Count the errors of a kind."""
    return metrics.CACHE_ERRORS.labels(what)._value.get()


async def test_cache_when_one_process_put_then_another_has_it(
    server: Server, client: Redis
) -> None:
    """Bit for bit, for five minutes, under the contract's key; for another bar it is none."""
    first, second, third = [await opened(server) for _ in range(3)]
    assert await made(first)
    assert str(CachedRow.unpack(await client.get("feature:AAA:1min:v1.0.0"))) == str(ROW)
    assert 0 < await client.ttl("feature:AAA:1min:v1.0.0") <= TTL_S
    assert not await made(second)
    assert await made(third, 8)
    for cache in (first, second, third):
        await cache.close()


async def test_cache_when_runs_and_stacks_share_a_redis_then_none_reads_of_another(
    server: Server, client: Redis
) -> None:
    """A replay beside the live run has keys of its own; two live ones have a mark in the value."""
    live, replay, other = Whose("s1"), Whose("s1", "run-1."), Whose("s2")
    for whose in (live, replay, other):
        cache = await opened(server, whose)
        assert await made(cache)
        await cache.close()
    assert sorted(await client.keys()) == [
        b"feature:AAA:1min:v1.0.0",
        b"run-1.feature:AAA:1min:v1.0.0",
    ]
    before = errors("foreign"), errors("damaged")
    for whose, is_made in ((replay, False), (other, False), (live, True), (other, True)):
        # A process that starts: it has none of its own.
        cache = await opened(server, whose)
        assert await made(cache) == is_made
        await cache.close()
    assert (errors("foreign"), errors("damaged")) == (before[0] + 2, before[1])


@pytest.mark.parametrize("nonsense", [b"", b"x", b"\x00" * 600, CUT, b"{}" * 400])
async def test_cache_when_redis_holds_nonsense_then_the_row_is_made_anew(
    server: Server, client: Redis, nonsense: bytes
) -> None:
    """Counted as damaged, and put right."""
    await client.set(KEY.text(), nonsense)
    before = errors("damaged")
    cache = await opened(server)
    assert await made(cache)
    assert errors("damaged") == before + 1
    assert CachedRow.unpack(await client.get(KEY.text())) is not None
    await cache.close()


async def test_cache_when_another_type_lies_there_then_the_row_is_made_anew(
    server: Server, client: Redis
) -> None:
    """A list under our key is an error of Redis, not of ours."""
    await client.rpush(KEY.text(), "a", "b")
    cache = await opened(server)
    assert await made(cache)
    await cache.close()


async def test_cache_when_redis_was_flushed_then_nothing_is_missed(
    server: Server, client: Redis
) -> None:
    """The process has its own; a new process makes it."""
    cache = await opened(server)
    assert await made(cache)
    await client.flushall()
    assert not await made(cache)
    fresh = await opened(server)
    assert await made(fresh)
    for one in (cache, fresh):
        await one.close()


async def test_cache_when_redis_freezes_then_answers_go_on_and_it_is_left_alone(
    server: Server,
) -> None:
    """A few wait a tenth of a second, then nobody asks it; when it wakes up it is asked again."""
    cache = await opened(server)
    loop = asyncio.get_running_loop()
    server.sign(signal.SIGSTOP)
    try:
        started_s = loop.time()
        refused = errors("open")
        for close_ns in range(20):
            assert await made(cache, close_ns)
        assert loop.time() - started_s < 5.0
        assert errors("open") > refused
        assert cache.trouble
        assert metrics.BREAKER_OPEN.labels("redis")._value.get() == 1
    finally:
        server.sign(signal.SIGCONT)
    close_ns = 99
    async with asyncio.timeout(20.0):
        while cache.trouble:
            assert await made(cache, close_ns)
            close_ns += 1
            await asyncio.sleep(0.1)
    assert metrics.BREAKER_OPEN.labels("redis")._value.get() == 0
    await cache.close()


async def test_cache_when_redis_dies_and_returns_then_it_is_used_again(
    tmp_path: Path,
) -> None:
    """Killed: rows are made; back and empty: the next row is shared again."""
    server = Server(tmp_path)
    await asyncio.to_thread(server.start)
    cache = await opened(server)
    assert await made(cache)
    server.sign(signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert await made(cache, 8)
    assert cache.trouble
    server.children.running.pop("redis").end()
    await asyncio.to_thread(server.start)
    other = await opened(server)
    assert await made(cache, 9)
    assert not await made(other, 9)
    assert not cache.trouble
    for one in (cache, other):
        await one.close()
    await asyncio.to_thread(server.stop)


async def test_redis_when_it_runs_then_has_no_port_and_writes_nothing(client: Redis) -> None:
    """What it holds can be made anew."""
    found = {name: (await client.config_get(name))[name] for name in ("port", "save", "appendonly")}
    assert found == {"port": "0", "save": "", "appendonly": "no"}


def test_redis_when_it_listens_then_only_its_user_can_reach_it(server: Server) -> None:
    """A socket in a closed folder."""
    socket = Path(server.server.url.removeprefix("unix://"))
    assert socket.is_socket()
    assert socket.parent.stat().st_mode & 0o077 == 0
