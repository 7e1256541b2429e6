"""``hop-throughput``: consume, transform, produce, in stock Faust, Quix Streams, Bytewax and here.

The same bars of symbols: the peers get them as their users would, one JSON event each; a stage gets
them as the chain does, a slice of a hundred symbols a record. Every process is held to one core,
its input lies in the topic before it starts, and what it wrote is read again and compared. The rate
is per second of its own processor time, from its first output to its last, in turns.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.run.workers import Children
from streams.clock import monotonic_s, run_stamp
from streams.epochs import Epoch
from streams.partitions import partition_of
from streams.slices import BarColumns, Slice, SliceMeta, bar_slice
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.bench.peers import place
from tests.evidence import bench
from tests.evidence.measurement import Measurement, Result

_N_SYMBOLS = 200
_ROUNDS = 3
_START_S = 60
_PATIENCE_S = 300
_SECOND_NS = 1_000_000_000
_BEGIN_NS = 1_767_225_600 * _SECOND_NS

FLOOR_FAUST = 5.0
FLOOR_QUIX = 1.0


class Peer(NamedTuple):
    """A program, how many bars of 200 symbols it gets, and whether it needs its own environment."""

    name: str
    n_bars: int
    is_apart: bool = False


OURS = "ours"
PEERS = (
    Peer(OURS, 5_000),
    Peer("faust", 150),
    Peer("quix", 400, is_apart=True),
    Peer("bytewax", 400, is_apart=True),
    Peer("bare", 400),
)


class Market:
    """Bars of the symbols, the same for everybody; drawn once from a seed."""

    def __init__(self, epoch: Epoch, digest: str) -> None:
        self.epoch, self.digest = epoch, digest
        self.chunks = [epoch.chunks(partition)[0] for partition in range(epoch.n_partitions)]
        draw = np.random.default_rng(3)
        n = sum(map(len, self.chunks))
        self._close = 100 * np.exp(draw.normal(0, 0.01, (64, n)))
        self._volume = draw.integers(1, 10_000, (64, n)).astype(np.float64)

    def values(self, bar: int, partition: int) -> tuple[np.ndarray, np.ndarray]:
        """Return closes and volumes of a partition's symbols."""
        begin = sum(len(chunk) for chunk in self.chunks[:partition])
        held = slice(begin, begin + len(self.chunks[partition]))
        return self._close[bar % 64, held], self._volume[bar % 64, held]

    def events(self, bar: int, partition: int) -> Iterator[dict[str, object]]:
        """Yield the bar as events."""
        close, volume = self.values(bar, partition)
        ts = _BEGIN_NS + bar * _SECOND_NS
        for row in zip(self.chunks[partition], close.tolist(), volume.tolist(), strict=True):
            yield {"symbol": row[0], "ts": ts, "close": row[1], "volume": row[2]}

    def slice(self, bar: int, partition: int) -> bytes:
        """Return the bar as a slice."""
        close, volume = self.values(bar, partition)
        n = len(close)
        columns = BarColumns(
            symbol=list(self.chunks[partition]),
            row=np.arange(n, dtype=np.int32),
            open=close,
            high=close,
            low=close,
            close=close,
            volume=volume,
            vwap=close,
            n_ticks=np.ones(n, np.int64),
            fill_price=close,
        )
        about = SliceMeta(
            partition=partition,
            close_ns=_BEGIN_NS + (bar + 1) * _SECOND_NS,
            rank=0,
            chunk=0,
            n_chunks=1,
            timeframe=self.epoch.timeframe,
            first_offset=bar,
            last_offset=bar,
            n_partitions=self.epoch.n_partitions,
            epoch=1,
            epoch_digest=self.digest,
        )
        return bar_slice(about, columns).encode()

    def worth(self, n_bars: int) -> dict[tuple[str, int], float]:
        """Return what a right answer says of the first bars, by symbol and time."""
        return {
            (str(event["symbol"]), int(str(event["ts"]))): float(str(event["close"]))
            * float(str(event["volume"]))
            for bar in range(n_bars)
            for partition in range(len(self.chunks))
            for event in self.events(bar, partition)
        }


async def fill(servers: str, topic: str, market: Market, peer: Peer) -> int:
    """Write a peer's whole input; return how many records it will make of it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, linger_ms=20, max_batch_size=1 << 20, acks="all"
    )
    await producer.start()
    n = 0
    for bar in range(peer.n_bars):
        for partition in range(bench.N_PARTITIONS):
            if peer.name == OURS:
                values = [(str(partition).encode(), market.slice(bar, partition))]
            else:
                values = [
                    (str(event["symbol"]).encode(), json.dumps(event).encode())
                    for event in market.events(bar, partition)
                ]
            for key, value in values:
                await producer.send(topic, value, key, partition=partition)
            n += len(values)
    await producer.stop()
    return n


async def ends(consumer: AIOKafkaConsumer, topic: str) -> int:
    """Return how many records a topic has."""
    places = [TopicPartition(topic, p) for p in range(bench.N_PARTITIONS)]
    return sum((await consumer.end_offsets(places)).values())


class Take(NamedTuple):
    """One run of a peer: symbol events per second of processor time, and of the clock."""

    per_processor_s: float
    per_s: float


async def take(servers: str, home: Path, market: Market, peer: Peer) -> Take:
    """Run a peer over its input, and hold what it wrote against what is right."""
    name = f"hop-{peer.name}-{run_stamp()}"
    source, sink = f"{name}-in", f"{name}-out"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    made = [source, sink, *([f"{source}-ours-hop-changelog"] if peer.name == OURS else [])]
    await admin.create_topics([NewTopic(topic, bench.N_PARTITIONS, 1) for topic in made])
    n_records = await fill(servers, source, market, peer)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    children = Children(home / "peers" / name)
    python = await asyncio.to_thread(place.python) if peer.is_apart else sys.executable
    program = Path(place.__file__).with_name(f"hop_{peer.name}.py")
    command = [str(python), str(program), servers, source, sink]
    try:
        children.start_program(peer.name, *command, *([str(home)] if peer.name == OURS else []))
        process = psutil.Process(children.running[peer.name].pid)
        n_first = await reached(children, consumer, sink, 1)
        began, spent = monotonic_s(), _spent_s(process)
        n_last = await reached(children, consumer, sink, n_records)
        took, spent = monotonic_s() - began, _spent_s(process) - spent
        n_each = _N_SYMBOLS // bench.N_PARTITIONS if peer.name == OURS else 1
        n_events = (n_last - n_first) * n_each
        await compare(consumer, sink, market, peer)
    finally:
        await asyncio.to_thread(children.stop)
        await consumer.stop()
        await admin.delete_topics(made)
        await admin.close()
    return Take(n_events / spent, n_events / took)


async def reached(children: Children, consumer: AIOKafkaConsumer, topic: str, n: int) -> int:
    """Wait until a topic has so many records; return how many it has."""
    async with asyncio.timeout(_START_S if n == 1 else _PATIENCE_S):
        while (found := await ends(consumer, topic)) < n:
            children.check()
            await asyncio.sleep(0.01)
    return found


def _spent_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return spent.user + spent.system


async def compare(consumer: AIOKafkaConsumer, topic: str, market: Market, peer: Peer) -> None:
    """Hold the first bars of what was written against the formula.

    Raises
    ------
    RuntimeError
        If anything is missing, or has another value.
    """
    n_bars = min(peer.n_bars, 100)
    wanted = market.worth(n_bars)
    found: dict[tuple[str, int], float] = {}
    for place_ in (TopicPartition(topic, p) for p in range(bench.N_PARTITIONS)):
        consumer.assign([place_])
        await consumer.seek_to_beginning(place_)
        end = (await consumer.end_offsets([place_]))[place_]
        while await consumer.position(place_) < end and len(found) < len(wanted):
            for record in (await consumer.getmany(place_, timeout_ms=1_000)).get(place_, []):
                told = _told(record.value, peer)
                found.update((key, worth) for key, worth in told.items() if key in wanted)
    differing = [key for key, value in wanted.items() if found.get(key) != value]
    if differing:
        raise RuntimeError(
            f"{peer.name}: {len(differing)} of {len(wanted)} outputs are missing or have another "
            f"value than close * volume, first {differing[0]}"
        )


def _told(value: bytes, peer: Peer) -> dict[tuple[str, int], float]:
    if peer.name != OURS:
        event = json.loads(value)
        return {(event["symbol"], event["ts"]): event["notional"]}
    slice_ = Slice.decode(value)
    ts = slice_.meta.close_ns - _SECOND_NS
    pairs = zip(slice_.symbols(), slice_.floats("notional").tolist(), strict=True)
    return {(symbol, ts): worth for symbol, worth in pairs}


def symbols() -> tuple[str, ...]:
    """Return the symbols: as many at home in each partition."""
    found: list[list[str]] = [[] for _ in range(bench.N_PARTITIONS)]
    n, most = 0, _N_SYMBOLS // bench.N_PARTITIONS
    while any(len(held) < most for held in found):
        symbol = f"S{n:05d}"
        held = found[partition_of(symbol, bench.N_PARTITIONS)]
        if len(held) < most:
            held.append(symbol)
        n += 1
    return tuple(sorted(symbol for held in found for symbol in held))


def measure() -> Result:
    """Let all take turns."""
    with bench.stack() as (servers, home):
        epoch = bench.epoch(symbols(), bench.models(home))
        market = Market(epoch, Epochs(Artifacts(home / "artifacts")).put(epoch))
        takes: dict[str, list[Take]] = {peer.name: [] for peer in PEERS}
        for _ in range(_ROUNDS):
            for peer in PEERS:
                takes[peer.name].append(asyncio.run(take(servers, home, market, peer)))
    # The worst of ours against the best of each peer.
    worst = min(one.per_processor_s for one in takes[OURS])
    ratios = {
        peer.name: worst / max(one.per_processor_s for one in takes[peer.name])
        for peer in PEERS
        if peer.name != OURS
    }
    parts: dict[str, object] = {
        name: {
            "per_processor_s": [round(one.per_processor_s) for one in found],
            "per_s": [round(one.per_s) for one in found],
        }
        for name, found in takes.items()
    }
    parts["ratios"] = {name: round(ratio, 2) for name, ratio in ratios.items()}
    return Result(
        round(statistics.median(one.per_processor_s for one in takes[OURS])),
        ratios["faust"] >= FLOOR_FAUST and ratios["quix"] >= FLOOR_QUIX,
        _ROUNDS * sum(peer.n_bars * _N_SYMBOLS for peer in PEERS),
        parts,
        "stock Faust, one JSON event a record",
        round(ratios["faust"], 1),
    )


HOP_THROUGHPUT = Measurement(
    "hop-throughput",
    "symbol events/s and core through one hop",
    f">= {FLOOR_FAUST:g} x stock Faust, >= {FLOOR_QUIX:g} x Quix Streams, the worst take of ours "
    "against the best of theirs",
    12,
    measure,
)
