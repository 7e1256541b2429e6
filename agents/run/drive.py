"""Driving a run: declare its topics, announce its epoch, start its workers, replay, wait."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.run.fit import Plan
from agents.run.observer import Observer
from agents.run.workers import Children
from agents.topology import all_changelogs, prefix_of
from streams import topics
from streams.epochs import Epoch
from streams.errors import WorkerFailedError
from streams.kafka_access import kafka
from streams.settings import Settings
from streams.sources.replay import Clock, replay, ticks_topic
from streams.sources.tape import Interval, Tape
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

# Bars on their way at full speed: enough to keep every stage busy, few enough for bounded memory.
WINDOW_BARS = 8

# A worker that decides nothing for this long is stuck.
PATIENCE_S = 60.0

# Its first decision comes after start and recovery, beside all that starts with it: 34 s were seen
# on two cores that eight programs wanted.
START_PATIENCE_S = 180.0

_COUNT_EVERY_S = 0.5
_LOOK_S = 0.5
_WORKER = "worker-"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name, its broker and its directories."""

    name: str
    bootstrap_servers: str
    home: Path
    epoch: Epoch

    @property
    def artifacts(self) -> Path:
        """Directory of models and epochs, shared by all runs of a stack."""
        return self.home / "artifacts"

    @property
    def data(self) -> Path:
        """Directory of this run's local tables and logs."""
        return self.home / "runs" / self.name

    @property
    def prefix(self) -> str:
        """Prefix of the run's topics."""
        return prefix_of(self.name)


def start_worker(
    run: Run, children: Children, web_port: int, instance: str = "0", serving: Iterable[str] = ()
) -> None:
    """Start one trading worker of the run; ``serving`` are the options of its API."""
    arguments = worker_arguments(run, web_port, instance)
    children.start(f"{_WORKER}{instance}", *arguments, *serving)


def worker_arguments(run: Run, web_port: int, instance: str) -> tuple[str, ...]:
    """Return what ``tradewind`` is told to become one trading worker of the run."""
    return (
        "worker",
        f"--bootstrap={run.bootstrap_servers}",
        f"--data={run.data / f'tables-{instance}'}",
        f"--artifacts={run.artifacts}",
        f"--run={run.name}",
        f"--web-port={web_port}",
        f"--instance={instance}",
    )


def start_archive(run: Run, children: Children) -> None:
    """Start the process that keeps the run's slices as SQL rows."""
    children.start(
        "archive",
        "archive",
        f"--bootstrap={run.bootstrap_servers}",
        f"--artifacts={run.artifacts}",
        f"--run={run.name}",
        f"--name={run.home.name}",
    )


def start_explainer(run: Run, children: Children, web_port: int) -> None:
    """Start the worker that explains the run's decisions."""
    children.start(
        "explain",
        "worker",
        "--role=forensics",
        f"--bootstrap={run.bootstrap_servers}",
        f"--data={run.data / 'tables-explain'}",
        f"--artifacts={run.artifacts}",
        f"--run={run.name}",
        f"--web-port={web_port}",
    )


def start_forensics(run: Run, children: Children) -> None:
    """Start the process that keeps the run's decisions in the audit trail."""
    children.start(
        "forensics",
        "forensics",
        f"--bootstrap={run.bootstrap_servers}",
        f"--run={run.name}",
        f"--name={run.home.name}",
    )


async def declare(run: Run, replication: int) -> None:
    """Create the run's topics and changelogs."""
    await _declare(run.bootstrap_servers, run.name, run.epoch.n_partitions, replication)


async def declare_live(bootstrap_servers: str, settings: Settings) -> None:
    """Create the topics and changelogs of the live run."""
    await _declare(bootstrap_servers, "", settings.partitions, settings.replication)


async def _declare(servers: str, name: str, n_partitions: int, replication: int) -> None:
    admin = AIOKafkaAdminClient(**kafka(servers))
    await admin.start()
    try:
        await topics.declare(
            admin,
            prefix=prefix_of(name),
            n_partitions=n_partitions,
            replication=replication,
            changelogs=all_changelogs(name),
        )
    finally:
        await admin.close()


async def drive(
    run: Run,
    tape: Tape,
    plan: Plan,
    *,
    watch: Observer,
    children: Children,
    sent: Callable[[Interval], None],
) -> None:
    """Replay the planned stretch through the run's workers and wait for its last decision.

    Raises
    ------
    WorkerFailedError
        If a worker ended by itself, or decided nothing for ``PATIENCE_S``.
    """
    digest = Epochs(Artifacts(run.artifacts)).put(run.epoch)
    closes = [c for c in tape.closes_ns() if plan.replay[0] <= c <= plan.replay[1]]
    behind = dict(zip(closes[WINDOW_BARS:], closes, strict=False))

    async def gate(close_ns: int) -> None:
        children.check()
        if close_ns in behind:
            await decided(watch, behind[close_ns], children, children.check)

    async with producing(run.bootstrap_servers) as producer, _watching(run, watch):
        clock = Clock(producer, ticks_topic(run.prefix), run.epoch.n_partitions, run.epoch.clock_id)
        await clock.announce(1, digest, 0)
        await replay(
            tape, clock, plan.replay, lateness_ms=run.epoch.lateness_ms, gate=gate, sent=sent
        )
        await decided(watch, closes[-1], children, children.check)
        children.check()


async def decided(
    watch: Observer, close_ns: int, children: Children, look: Callable[[], None]
) -> None:
    """Wait until a bar is decided; ``look`` sees again and again that somebody is there to do it.

    Raises
    ------
    WorkerFailedError
        If nothing was decided for ``PATIENCE_S``, or ``START_PATIENCE_S`` before the first; the
        message has the end of the workers' logs.
    """
    patience_s = START_PATIENCE_S if watch.seen.first_decision_s is None else PATIENCE_S
    waiting = asyncio.create_task(watch.decided(close_ns, patience_s=patience_s))
    try:
        while not waiting.done():
            look()
            await asyncio.wait([waiting], timeout=_LOOK_S)
        await waiting
    except TimeoutError as error:
        workers = [name for name in children.running if name.startswith(_WORKER)]
        asked = [await asyncio.to_thread(children.where, name) for name in workers]
        raise WorkerFailedError(
            f"No decision came for {patience_s:g} s, and every process of the run is there. "
            + "\n".join([*map(children.end_of, workers), *asked])
        ) from error
    finally:
        waiting.cancel()


@asynccontextmanager
async def producing(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a producer of ticks: idempotent, in large compressed batches."""
    producer = AIOKafkaProducer(
        **kafka(bootstrap_servers),
        enable_idempotence=True,
        compression_type="lz4",
        max_batch_size=1 << 18,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _watching(run: Run, watch: Observer) -> AsyncIterator[None]:
    consumer = AIOKafkaConsumer(**kafka(run.bootstrap_servers))
    await consumer.start()
    counting = _count(watch, consumer, run.epoch.n_partitions)
    tasks = [asyncio.create_task(watch.follow()), asyncio.create_task(counting)]
    try:
        yield
        # What is shown at the end is counted at the end.
        await watch.count_slices(consumer, run.epoch.n_partitions)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await consumer.stop()


async def _count(watch: Observer, consumer: AIOKafkaConsumer, n_partitions: int) -> None:
    while True:
        await watch.count_slices(consumer, n_partitions)
        await asyncio.sleep(_COUNT_EVERY_S)
