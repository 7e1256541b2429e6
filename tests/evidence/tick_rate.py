"""``tick-rate``: JSON ticks through the bars stage of one worker, one a record and in lists.

Open loop: ticks come at their pace, whatever the worker does.
"""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from agents.run.drive import Run, start_worker
from agents.run.workers import Children
from streams.clock import monotonic_s, wall_ns
from streams.timestamps import TIMEFRAMES_NS
from tests.evidence import bench
from tests.evidence.feed import PER_S, TICKS_PER_LIST, Feed, ListFeed
from tests.evidence.measurement import Measurement, Result

MAX_LAG_S = 1.0
MAX_GROWTH_MB = 100.0

_SECONDS = 60
_SYMBOLS = 200
_PATIENCE_S = 120
_TAKEN = re.compile(rb'tradewind_stage_records_total\{outcome="taken",stage="bars"\} ([0-9.e+]+)')
_HOST = "127.0.0.1"


class Offered(NamedTuple):
    """How ticks come, and what is promised of them."""

    feed: type[Feed]
    per_s: int
    promised_per_s: int


# A little more than is promised, in whole records of each partition.
SINGLE = Offered(Feed, 21_000, 20_000)
LISTS = Offered(ListFeed, 210_000, 200_000)


class Taken(NamedTuple):
    """How a worker kept up."""

    per_s: float
    n_ticks: int
    lag_s: float
    most_behind: int
    growth_mb: float
    cores: float
    sent_per_s: float

    def holds(self, promised_per_s: int) -> bool:
        """Tell whether it did."""
        return (
            self.per_s >= promised_per_s
            and self.lag_s <= MAX_LAG_S
            and self.growth_mb <= MAX_GROWTH_MB
        )


async def _taken(port: int) -> int:
    def read() -> int:
        try:
            with urlopen(f"http://{_HOST}:{port}/metrics", timeout=5) as answer:
                found = _TAKEN.search(answer.read())
        except URLError:
            return 0
        return 0 if found is None else int(float(found[1]))

    return await asyncio.to_thread(read)


async def _until_taken(port: int, n: int) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while await _taken(port) < n:  # noqa: ASYNC110  another process counts, there is no event
            await asyncio.sleep(0.02)


async def _measure(servers: str, home: Path, offered: Offered) -> Taken:
    symbols = tuple(f"TICK{n:03d}" for n in range(_SYMBOLS))
    of = bench.epoch(symbols, bench.models(home), "1min")
    pages: list[int] = []

    def start(run: Run, children: Children, web_port: int) -> None:
        pages.append(web_port)
        start_worker(run, children, web_port)

    async with bench.chain(servers, home, of, start=start) as running:
        feed = offered.feed(running.producer, running.clock.topic, symbols)
        return await _drive(running, feed, pages[0], offered.per_s)


async def _drive(running: bench.Chain, feed: Feed, port: int, per_s: int) -> Taken:
    """Offer ticks for a minute, open loop; records that are no ticks are counted apart."""
    clock, minute_ns = running.clock, TIMEFRAMES_NS["1min"]
    bar = wall_ns() // minute_ns
    await clock.beat(bar * minute_ns, n=bar)
    await feed.send(10 * per_s // PER_S)
    n_others = 2 * bench.N_PARTITIONS
    await _until_taken(port, n_others + feed.n_records)
    worker = psutil.Process(running.children.running["worker-0"].pid)
    cpu_s, first_mb = sum(worker.cpu_times()[:2]), worker.memory_info().rss / 2**20
    started, first_n, behind = monotonic_s(), feed.n_ticks, []
    for beat in range(_SECONDS * PER_S):
        due = started + beat / PER_S
        await asyncio.sleep(max(0.0, due - monotonic_s()))
        await feed.send(per_s // PER_S)
        now = wall_ns() // minute_ns
        if now > bar:
            bar = now
            await clock.beat(bar * minute_ns, n=bar)
            n_others += bench.N_PARTITIONS
        if beat % PER_S == 0:
            behind.append(feed.n_records + n_others - await _taken(port))
    ended = monotonic_s()
    await _until_taken(port, n_others + feed.n_records)
    done = monotonic_s()
    n_ticks = feed.n_ticks - first_n
    return Taken(
        n_ticks / (done - started),
        n_ticks,
        done - ended,
        max(behind),
        worker.memory_info().rss / 2**20 - first_mb,
        (sum(worker.cpu_times()[:2]) - cpu_s) / (done - started),
        n_ticks / (ended - started),
    )


def measure() -> Result:
    """Offer ticks for a minute, one a record and then in lists, and watch the worker keep up."""
    with bench.stack() as (servers, home):
        taken = {each: asyncio.run(_measure(servers, home, each)) for each in (SINGLE, LISTS)}
    return Result(
        value=round(taken[SINGLE].per_s),
        holds=all(said.holds(offered.promised_per_s) for offered, said in taken.items()),
        n=sum(said.n_ticks for said in taken.values()),
        parts={
            "single" if offered is SINGLE else f"lists_of_{TICKS_PER_LIST}": {
                "offered_per_s": offered.per_s,
                "sent_per_s": round(said.sent_per_s),
                "ticks_per_s": round(said.per_s),
                "lag_at_end_s": round(said.lag_s, 2),
                "records_behind_max": said.most_behind,
                "memory_growth_mb": round(said.growth_mb, 1),
                "worker_cpu_cores": round(said.cores, 2),
            }
            for offered, said in taken.items()
        },
    )


TICK_RATE = Measurement(
    "tick-rate",
    "ticks/s, one record each; then lists",
    f">= {SINGLE.promised_per_s} and >= {LISTS.promised_per_s} for {_SECONDS} s, lag <= "
    f"{MAX_LAG_S:g} s, growth <= {MAX_GROWTH_MB:g} MB",
    4,
    measure,
)
