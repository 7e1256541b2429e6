"""``replay-speed``: how fast a recorded topic goes through the stages, beside reading it.

Ticks of 200 symbols lie on a broker, as a run has recorded them. They are replayed through one
worker as fast as it goes, and read in turns by a bare consumer that does nothing with them.
"""

import asyncio
import time
from pathlib import Path
from statistics import median

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.run.drive import WINDOW_BARS, Run, declare, producing
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_replay import TopicReplay
from models.features.catalogue import WARMUP_BARS
from streams.clock import monotonic_s, run_stamp
from streams.sources.replay import Clock, Stretch, replay, ticks_topic
from streams.sources.synthetic import SyntheticTape
from streams.topics import MARKET_TICKS
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.evidence.bench import N_PARTITIONS, epoch, models, stack
from tests.evidence.measurement import Measurement, Result

N_SYMBOLS, _N_BARS, _TICKS, _ROUNDS = 200, 200, 4, 3
COLD_BARS = WARMUP_BARS + WINDOW_BARS + 1
"""So many closes are sent when the first warm bar has been decided."""


async def recorded(
    servers: str, home: Path, tape: SyntheticTape, n_partitions: int = N_PARTITIONS
) -> Run:
    """Send a tape to topics of a run that nobody decides."""
    document = msgspec.structs.replace(epoch(tape.symbols, models(home)), n_partitions=n_partitions)
    digest = Epochs(Artifacts(home / "artifacts")).put(document)
    run = Run(f"recorded-{run_stamp()}", servers, home, document)
    await declare(run, replication=1)

    async def gate(_close_ns: int) -> None:
        return

    async with producing(servers) as producer:
        clock = Clock(producer, ticks_topic(run.prefix), n_partitions, document.clock_id)
        await clock.announce(1, digest, 0)
        closes = tape.closes_ns()
        stretch = Stretch(closes[0], closes[-1])
        await replay(tape, clock, stretch, lateness_ms=0, gate=gate, sent=lambda _: None)
    return run


async def raw_s(servers: str, topic: str) -> float:
    """Return how long a consumer takes to have all records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(N_PARTITIONS)]
        ends = await consumer.end_offsets(places)
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        began_s, left = time.perf_counter(), sum(ends.values())
        while left > 0:
            fetched = await consumer.getmany(timeout_ms=1_000)
            left -= sum(map(len, fetched.values()))
        return time.perf_counter() - began_s
    finally:
        await consumer.stop()


async def replayed_s(
    source: TopicBacktest, document_of: Run, n_workers: int = 1
) -> tuple[float, int]:
    """Return how long a replay takes from its first warm close to its last, and bars between.

    A close is sent when those before it are decided, but for as many as may be on their way.
    """
    run = Run(f"replay-{run_stamp()}", source.servers, source.home, document_of.epoch)
    moments: list[float] = []

    async def before(_close_ns: int) -> None:
        moments.append(monotonic_s())

    playing = TopicReplay(source, run, n_workers=n_workers, before=before)
    try:
        await playing.play(1)
    finally:
        await playing.remove()
    # A close is sent before those are decided that may still be on their way.
    warm = moments[COLD_BARS:]
    return warm[-1] - warm[0], len(warm) - 1


async def measured(servers: str, home: Path) -> tuple[list[float], list[float], int]:
    """Take turns; return symbol-bars a second of replays, seconds of reading, and closes."""
    tape = SyntheticTape(symbols=N_SYMBOLS, bars=COLD_BARS + _N_BARS, ticks_per_bar=_TICKS, seed=3)
    run = await recorded(servers, home, tape)
    rates, raw, n_bars = [], [], 0
    for _ in range(_ROUNDS):
        raw.append(await raw_s(servers, ticks_topic(run.prefix)))
        source = TopicBacktest(home, servers, run.name, MARKET_TICKS.name, (None, None))
        await asyncio.to_thread(source.check)
        took_s, n_bars = await replayed_s(source, run)
        rates.append(N_SYMBOLS * n_bars / took_s)
    return rates, raw, n_bars


def measure() -> Result:
    """Record, read and replay."""
    with stack() as (servers, home):
        rates, raw, n_bars = asyncio.run(measured(servers, home))
    n_all = N_SYMBOLS * (COLD_BARS + _N_BARS)
    read = [n_all / each for each in raw]
    share = min(rates) / max(read)
    return Result(
        round(median(rates)),
        min(rates) > N_SYMBOLS,
        N_SYMBOLS * n_bars * _ROUNDS,
        {
            "symbol_bars_per_s": [round(each) for each in rates],
            "ticks_per_s": [round(_TICKS * each) for each in rates],
            "raw_symbol_bars_per_s": [round(each) for each in read],
            "times_as_it_happened": round(median(rates) / N_SYMBOLS, 1),
        },
        "a bare consumer of the same topic",
        round(share, 4),
    )


REPLAY_SPEED = Measurement(
    "replay-speed",
    "symbol-bars/s of a recorded topic through one worker, 200 symbols, 4 ticks a bar",
    "faster than it happened; beside a raw read of the topic",
    8,
    measure,
)
