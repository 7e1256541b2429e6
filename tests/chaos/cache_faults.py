"""Redis gone, frozen, flushed and full of nonsense while features are asked for over HTTP.

Whatever it does, no answer is older than the last decided bar, and the chain does not notice.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import psutil
from redis.asyncio import Redis

from agents.run.stores import start_redis
from agents.run.workers import Children
from streams.brokers.waiting import wait_for
from tables.stores.servers import redis as redis_server
from tables.stores.token_keys import TokenKeys
from tests.chaos.campaign import Played, feed, judged
from tests.chaos.faults import How, Place, Strike, Struck
from tests.e2e.serving import Served

# Readers ask once the book has bars.
_FIRST_BAR, _APART = 60, 40
_STRIKE_S = 3.0
_PAUSE_S = 0.02
_LEAST_READ = 20

_PROCESS = "redis"


async def read_through_faults(place: Place, seed: int) -> Played:
    """Play one run in which Redis is struck in four ways, and features are read all along."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    how = How()

    async def run(struck: Struck) -> None:
        async with with_redis(struck) as api:
            reader = asyncio.create_task(_read(struck, api))
            acts = [redis_killed, _frozen, _flushed, _nonsense]
            draw.shuffle(acts)
            plan = {_FIRST_BAR + at * _APART: _struck(act) for at, act in enumerate(acts)}
            try:
                await feed(struck, plan, how)
            finally:
                reader.cancel()
                (ended,) = await asyncio.gather(reader, return_exceptions=True)
            if isinstance(ended, Exception):
                struck.violations.append(repr(ended))
            if struck.n_asked < _LEAST_READ:
                struck.violations.append(f"{struck.n_asked} answers; expected {_LEAST_READ}")

    return await judged(place, f"cache-{seed}", draw, run, how)


@asynccontextmanager
async def with_redis(struck: Struck) -> AsyncIterator[Served]:
    """Start Redis and a worker with an API that uses it."""
    trial = struck.trial
    await _started(struck)
    url = redis_server.server_of(trial.run.home).url
    keys = TokenKeys(trial.run.data / "auth")
    keys.rotate()
    async with aiohttp.ClientSession() as session:
        api = Served(trial, keys, session, {})
        api.start("0", url)
        yield api


async def _started(struck: Struck) -> None:
    children: Children = struck.trial.children
    home = struck.trial.run.home
    children.environment["TRADEWIND_HOME"] = str(home.parent)
    await asyncio.to_thread(start_redis, home, children)
    server = redis_server.server_of(home)
    await asyncio.to_thread(
        wait_for, lambda: asyncio.run(server.answers()), timeout_s=redis_server.READY_S
    )


async def _read(struck: Struck, api: Served) -> None:
    """Ask for the last decided bar, then for the features of a symbol: never of an older one."""
    symbols = struck.trial.tape.symbols
    while True:
        for symbol in symbols:
            await asyncio.sleep(_PAUSE_S)
            try:
                status, regime = await api.get(f"/regime/probabilities?symbol={symbol}")
                if status != 200:
                    continue
                status, said = await api.get(f"/api/v1/features/{symbol}/1s")
            except aiohttp.ClientError:
                continue  # the worker has not started yet
            if status != 200:
                struck.violations.append(f"features of {symbol} were answered {status}: {said}")
                continue
            struck.n_asked += 1
            if said["bar_close"] < regime["bar_close"]:
                struck.violations.append(f"{said['bar_close']} behind {regime['bar_close']}")


def _struck(act: Callable[[Struck], Awaitable[None]]) -> Strike:
    async def strike(struck: Struck) -> None:
        before = struck.n_asked
        await act(struck)
        if struck.n_asked == before:
            struck.violations.append(f"nobody was answered during {act.__name__.strip('_')}")

    return strike


def _all_of_it(struck: Struck) -> list[psutil.Process]:
    process = psutil.Process(struck.trial.children.running[_PROCESS].pid)
    return [process, *process.children(recursive=True)]


async def redis_killed(struck: Struck) -> None:
    """Kill Redis, and start it again after some seconds."""
    everything = _all_of_it(struck)
    process = struck.trial.children.running.pop(_PROCESS)
    for one in everything:
        one.kill()
    await struck.trial.until(lambda: not process.alive(), "Redis gone")
    await asyncio.sleep(_STRIKE_S)
    await _started(struck)


async def _frozen(struck: Struck) -> None:
    everything = _all_of_it(struck)
    for one in everything:
        one.suspend()
    try:
        await asyncio.sleep(_STRIKE_S)
    finally:
        for one in everything:
            one.resume()


async def _flushed(struck: Struck) -> None:
    async with Redis.from_url(redis_server.server_of(struck.trial.run.home).url) as redis:
        for _ in range(int(_STRIKE_S * 10)):
            await redis.flushall()
            await asyncio.sleep(0.1)


async def _nonsense(struck: Struck) -> None:
    """Write bytes that are no row over every key, again and again."""
    n_changed = 0
    async with Redis.from_url(redis_server.server_of(struck.trial.run.home).url) as redis:
        for _ in range(int(_STRIKE_S * 10)):
            async for key in redis.scan_iter():
                n_changed += bool(await redis.set(key, struck.draw.randbytes(64), xx=True))
            await asyncio.sleep(0.1)
    if not n_changed:
        struck.violations.append("Redis had no key to change: nothing was tried")
