"""What the measurements share: a broker, models of a synthetic market, and a running chain."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from agents.run.drive import Run, declare, start_worker
from agents.run.fit import models_for
from agents.run.workers import Children, free_port
from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from streams.brokers import open_broker, stack_home
from streams.clock import run_stamp
from streams.epochs import Epoch, Instrument, Portfolio
from streams.sources.replay import Clock, Stretch, ticks_topic
from streams.sources.synthetic import SyntheticTape
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

# Enough bars to warm the features up, to split and to fit; the same for every measurement.
_FIT_BARS = 1_500
_FIT_SYMBOLS = 20
N_PARTITIONS = 2
# With aiokafka's 16 kB a feed of lists waits for its own round trips.
MOST_BATCH_BYTES = 1_000_000


@contextmanager
def stack() -> Iterator[tuple[str, Path]]:
    """Yield the address of a broker and the directory of the measurements."""
    home = stack_home("evidence")
    broker = open_broker(home)
    try:
        yield broker.bootstrap_servers, home
    finally:
        broker.stop()


def models(home: Path) -> str:
    """Return the digest of models of the timeframe 1s, fitted once on a synthetic market."""
    tape = SyntheticTape(symbols=_FIT_SYMBOLS, bars=_FIT_BARS, ticks_per_bar=4, seed=11)
    closes = tape.closes_ns()
    stretch = Stretch(closes[0], closes[-1])
    return models_for(tape, stretch, Artifacts(home / "artifacts"), lambda _stage, _share: None)[0]


def epoch(symbols: tuple[str, ...], digest: str, timeframe: str = "1s") -> Epoch:
    """Return an epoch over synthetic symbols with one large paper account."""
    return Epoch(
        timeframe=timeframe,
        n_partitions=N_PARTITIONS,
        clock_id="bench",
        lateness_ms=0,
        max_ahead_ms=5_000,
        venue_latency_ms=5,
        instruments=tuple(Instrument(id=symbol) for symbol in symbols),
        portfolios=(Portfolio(id="main", cash="100000000"),),
        models=digest,
        pipeline_version=PIPELINE_VERSION,
        pipeline_digest=pipeline_digest(),
    )


@dataclass
class Chain:
    """A running chain of one worker, with the clock in our hands."""

    run: Run
    clock: Clock
    producer: AIOKafkaProducer
    children: Children


# What runs beside a chain, with its run and the processes that end with it.
Beside = Callable[[Run, Children], AbstractAsyncContextManager[None]]
# How its worker is started, with the port of its page.
Start = Callable[[Run, Children, int], None]


@asynccontextmanager
async def chain(
    servers: str,
    home: Path,
    of: Epoch,
    beside: Beside | None = None,
    start: Start = start_worker,
) -> AsyncIterator[Chain]:
    """Start a worker on topics of its own, announce its epoch, and stop it at the end."""
    digest = Epochs(Artifacts(home / "artifacts")).put(of)
    run = Run(f"bench-{run_stamp()}", servers, home, of)
    await declare(run, replication=1)
    children = Children(
        run.data / "logs",
        {"TRADEWIND_PARTITIONS": str(of.n_partitions), "TRADEWIND_HOME": str(home.parent)},
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, max_batch_size=MOST_BATCH_BYTES
    )
    await producer.start()
    try:
        start(run, children, free_port("127.0.0.1"))
        clock = Clock(producer, ticks_topic(run.prefix), of.n_partitions, of.clock_id)
        await clock.announce(1, digest, 0)
        async with nullcontext() if beside is None else beside(run, children):
            yield Chain(run, clock, producer, children)
    finally:
        await producer.stop()
        await asyncio.to_thread(children.stop)


def decision_key(value: bytes) -> str:
    """Return the bar's close that a decision belongs to, without decoding all of it."""
    end = value.index(b'"', value.index(b'"timestamp":"') + 13)
    return value[value.index(b'"timestamp":"') + 13 : end].decode()


def dump(result: dict[str, object]) -> str:
    """Return one JSON line."""
    return json.dumps(result, separators=(",", ":"))
