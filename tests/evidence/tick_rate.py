"""``tick-rate``: single-tick JSON records through the bars stage of one worker, open loop."""

import asyncio
import re
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import psutil
from aiokafka import AIOKafkaProducer

from agents.run.drive import Run, declare, start_worker
from agents.run.workers import Children, free_port
from streams.clock import monotonic_s, run_stamp, wall_ns
from streams.partitions import partition_of
from streams.records import Tick
from streams.sources.replay import Clock, ticks_topic
from streams.timestamps import TIMEFRAMES_NS
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.evidence import bench
from tests.evidence.measurement import Measurement, Result

TARGET_PER_S = 10_000
MAX_LAG_S = 1.0
MAX_GROWTH_MB = 100.0

_OFFERED_PER_S = 12_000
_SECONDS = 60
_BEATS_PER_S = 50
_SYMBOLS = 200
_TAKEN = re.compile(rb'tradewind_stage_records_total\{outcome="taken",stage="bars"\} ([0-9.e+]+)')
_HOST = "127.0.0.1"


class _Feed:
    """Ticks of all symbols in turn, one record each, in batches built per partition."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, symbols: tuple[str, ...]) -> None:
        self._producer = producer
        self._topic = topic
        self._symbols = [(s, partition_of(s, bench.N_PARTITIONS)) for s in symbols]
        self.n = 0

    async def send(self, n_ticks: int) -> None:
        """Send the next ticks and await their acknowledgement."""
        batches = [self._producer.create_batch() for _ in range(bench.N_PARTITIONS)]
        now_ns = wall_ns()
        for _ in range(n_ticks):
            symbol, partition = self._symbols[self.n % len(self._symbols)]
            tick = Tick(symbol, now_ns, price=100.0 + self.n % 97 / 100, size=100, seq=self.n)
            batches[partition].append(
                timestamp=None, key=symbol.encode(), value=msgspec.json.encode(tick)
            )
            self.n += 1
        sent = [
            await self._producer.send_batch(batch, self._topic, partition=partition)
            for partition, batch in enumerate(batches)
        ]
        await asyncio.gather(*sent)


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
    async with asyncio.timeout(60):
        while await _taken(port) < n:  # noqa: ASYNC110  another process counts, there is no event
            await asyncio.sleep(0.02)


async def _measure() -> Result:
    with bench.stack() as (servers, home):
        symbols = tuple(f"TICK{n:03d}" for n in range(_SYMBOLS))
        of = bench.epoch(symbols, bench.models(home), "1min")
        digest = Epochs(Artifacts(home / "artifacts")).put(of)
        run = Run(f"ticks-{run_stamp()}", servers, home, of)
        await declare(run, replication=1)
        children = Children(run.data / "logs", {"TRADEWIND_PARTITIONS": str(of.n_partitions)})
        producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
        await producer.start()
        port = free_port(_HOST)
        try:
            start_worker(run, children, port)
            clock = Clock(producer, ticks_topic(run.prefix), of.n_partitions, of.clock_id)
            await clock.announce(1, digest, 0)
            feed = _Feed(producer, clock.topic, symbols)
            return await _drive(clock, feed, port, children)
        finally:
            await producer.stop()
            await asyncio.to_thread(children.stop)


async def _drive(clock: Clock, feed: _Feed, port: int, children: Children) -> Result:
    minute_ns = TIMEFRAMES_NS["1min"]
    bar = wall_ns() // minute_ns
    await clock.beat(bar * minute_ns, n=bar)
    await feed.send(100)
    n_before = 2 * bench.N_PARTITIONS + feed.n
    await _until_taken(port, n_before)
    worker = psutil.Process(children.running["worker-0"].pid)
    cpu_s, first_mb = sum(worker.cpu_times()[:2]), worker.memory_info().rss / 2**20
    started, first_n, lags = monotonic_s(), feed.n, []
    for beat in range(_SECONDS * _BEATS_PER_S):
        due = started + beat / _BEATS_PER_S
        await asyncio.sleep(max(0.0, due - monotonic_s()))
        await feed.send(_OFFERED_PER_S // _BEATS_PER_S)
        now = wall_ns() // minute_ns
        if now > bar:
            bar = now
            await clock.beat(bar * minute_ns, n=bar)
            n_before += bench.N_PARTITIONS
        if beat % _BEATS_PER_S == 0:
            lags.append(feed.n - first_n - (await _taken(port) - n_before))
    ended = monotonic_s()
    await _until_taken(port, n_before + feed.n - first_n)
    done = monotonic_s()
    rate = (feed.n - first_n) / (done - started)
    growth_mb = worker.memory_info().rss / 2**20 - first_mb
    return Result(
        value=round(rate),
        holds=rate >= TARGET_PER_S and done - ended <= MAX_LAG_S and growth_mb <= MAX_GROWTH_MB,
        n=feed.n - first_n,
        parts={
            "offered_per_s": _OFFERED_PER_S,
            "seconds": round(done - started, 1),
            "lag_at_end_s": round(done - ended, 2),
            "lag_records_max": max(lags),
            "memory_growth_mb": round(growth_mb, 1),
            "worker_cpu_cores": round((sum(worker.cpu_times()[:2]) - cpu_s) / (done - started), 2),
        },
    )


def measure() -> Result:
    """Offer single ticks for a minute and watch the worker keep up."""
    return asyncio.run(_measure())


TICK_RATE = Measurement(
    "tick-rate",
    "ticks/s, one record each",
    f">= {TARGET_PER_S} for {_SECONDS} s, lag <= {MAX_LAG_S:g} s, growth <= {MAX_GROWTH_MB:g} MB",
    2,
    measure,
)
