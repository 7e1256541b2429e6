"""``cache-hits``: features asked for while bars go on closing, and whether they are the last bar's.

The mix: 200 requests a second from 15 callers, four in five of them about a fifth of 50 symbols,
one in ten about bars of 5 minutes, while a bar of every symbol closes each second. Beside it a
caller asks for the last decided bar and then for the features: an older bar would be stale.
"""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from agents.run.stores import start_redis
from agents.run.workers import Children
from models.features.catalogue import WARMUP_BARS
from streams.brokers.waiting import wait_for
from streams.clock import monotonic_s, run_stamp
from streams.sources.synthetic import SyntheticTape
from tables.stores.servers import redis as redis_server
from tables.stores.token_keys import TokenKeys
from tests.e2e.serving import Served
from tests.evidence.bench import models, stack
from tests.evidence.http_load import Load, sent_by_another
from tests.evidence.measurement import Measurement, Result
from tests.runs import Trial, trial

_PLAYED, _LIVE = WARMUP_BARS + 60, 60
_TAPE = SyntheticTape(symbols=50, bars=_PLAYED + _LIVE, ticks_per_bar=2, seed=5)
_PER_SECOND, _SECONDS = 200.0, 40
_TARGET = 0.9

Reads = Counter[tuple[str, str]]


async def _pace(_trial: Trial) -> None:
    """Let a second pass before a bar, as it does live."""
    await asyncio.sleep(1.0)


def _mix(api: Served) -> Load:
    """Make the stated mix; the same one each time."""
    drawn = random.Random(11)  # noqa: S311  a mix of requests
    often, rest = _TAPE.symbols[:10], _TAPE.symbols[10:]
    urls = []
    for _ in range(int(_PER_SECOND) * _SECONDS):
        symbol = drawn.choice(often if drawn.random() < 4 / 5 else rest)
        timeframe = "5min" if drawn.random() < 1 / 10 else _TAPE.timeframe
        urls.append(api.url(f"/api/v1/features/{symbol}/{timeframe}"))
    return Load("GET", urls, _PER_SECOND, len(urls), [api.headers() for _ in range(15)], [])


async def _stale(api: Served, until_s: float) -> tuple[int, int]:
    """Ask for the last bar and then for features until a time; count asked and older answers."""
    asked = stale = 0
    while monotonic_s() < until_s:
        symbol = _TAPE.symbols[asked % len(_TAPE.symbols)]
        _, regime = await api.get(f"/regime/probabilities?symbol={symbol}")
        _, said = await api.get(f"/api/v1/features/{symbol}/{_TAPE.timeframe}")
        stale += said["bar_close"] < regime["bar_close"]
        asked += 1
        await asyncio.sleep(0.05)
    return asked, stale


async def _reads(api: Served) -> Reads:
    """Return the counts of both levels since the start."""
    url = f"http://127.0.0.1:{api.trial.stats_port}/metrics"
    async with api.session.get(url) as answer:
        text = await answer.text()
    found: Reads = Counter()
    for line in text.splitlines():
        if line.startswith("tradewind_feature_cache_reads_total{"):
            labels, _, value = line.partition("} ")
            level = "process" if 'level="process"' in labels else "redis"
            found[level, "hit" if 'outcome="hit"' in labels else "miss"] = int(float(value))
    return found


async def _measured(servers: str, home: Path) -> Result:
    children = Children(home / "logs")
    await asyncio.to_thread(start_redis, home, children)
    server = redis_server.server_of(home)
    try:
        await asyncio.to_thread(
            wait_for, lambda: asyncio.run(server.answers()), timeout_s=redis_server.READY_S
        )
        keys = TokenKeys(home / "auth-hits")
        keys.rotate()
        digest = await asyncio.to_thread(models, home)
        async with (
            trial(servers, home, digest, f"hits-{run_stamp()}", tape=_TAPE) as run,
            aiohttp.ClientSession() as session,
        ):
            api = Served(run, keys, session, {})
            api.start("0", server.url)
            live = dict.fromkeys(range(_PLAYED, _PLAYED + _LIVE), _pace)
            feeding = asyncio.create_task(run.feed(live))
            await run.decided(_TAPE.closes_ns()[_PLAYED - 1])
            await api.ready()
            return await _asked(api, feeding)
    finally:
        await asyncio.to_thread(children.stop)


async def _asked(api: Served, feeding: "asyncio.Task[None]") -> Result:
    before = await _reads(api)
    begun_bar = api.trial.watch.seen.decided_ns
    checking = asyncio.create_task(_stale(api, monotonic_s() + _SECONDS))
    seen = await sent_by_another(_mix(api))
    asked, stale = await checking
    reads = await _reads(api) - before
    n_bars = (api.trial.watch.seen.decided_ns - begun_bar) // 10**9
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    n_reads = reads["process", "hit"] + reads["process", "miss"]
    hits = (reads["process", "hit"] + reads["redis", "hit"]) / max(n_reads, 1)
    counts: dict[str, Any] = {f"{level}_{outcome}": n for (level, outcome), n in reads.items()}
    return Result(
        value=round(hits, 4),
        holds=hits >= _TARGET and not stale and set(seen.statuses) == {"200"},
        n=n_reads,
        parts={
            "stale_answers": stale,
            "answers_checked": asked,
            "bars_closed_meanwhile": n_bars,
            "p95_ms": seen.quantile(0.95),
            "statuses": seen.statuses,
            **counts,
        },
    )


def measure() -> Result:
    """Ask the mix, and count."""
    with stack() as (servers, home):
        return asyncio.run(_measured(servers, home))


CACHE_HITS = Measurement(
    "cache-hits",
    "share of reads",
    ">= 0.9 of a stated mix answered by a level of the cache; stale answers 0",
    3.0,
    measure,
)
