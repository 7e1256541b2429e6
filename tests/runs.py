"""Runs of the whole chain for tests: a tape through real workers, with hands on their processes."""

import asyncio
import math
import os
import shutil
import signal
import sys
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.run.drive import Run, declare, worker_arguments
from agents.run.fit import models_for
from agents.run.observer import Observer
from agents.run.session import verify_run
from agents.run.workers import Children, free_port
from agents.topology import app_id
from models.features.catalogue import PIPELINE_VERSION, WARMUP_BARS, pipeline_digest
from models.verification import Findings
from streams import topics
from streams.brokers.processes import Process
from streams.epochs import Epoch, Instrument, Limits, Portfolio
from streams.instructions import OrderIntent, TradingState
from streams.sources.replay import Clock, Gate, Stretch, replay, ticks_topic
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

N_PARTITIONS = 2
PATIENCE_S = 60.0

# The least that `fit` accepts: features to warm up, then bars to split.
FIT_TAPE = SyntheticTape(symbols=4, bars=810, ticks_per_bar=2, seed=11)

# Features warm up over most of it and decisions to trade follow; each partition holds symbols, and
# enough ticks for the bars stage to take a snapshot by itself (20,000).
TAPE = SyntheticTape(symbols=8, bars=WARMUP_BARS + 47, ticks_per_bar=18, seed=5)

# The tape moves in a second as markets do in a day, so a day of it could lose all there is.
LIMITS = Limits(max_var_fraction=10.0, max_sector_fraction=1.0, max_daily_loss_fraction=0.5)

# Bars on their way: while a worker is down, this much waits for it.
_WINDOW_BARS = 12
_POLL_S = 0.02
_LOG_TAIL_BYTES = 4_000

Moment = Callable[["Trial"], Awaitable[None]]


class Outcome(NamedTuple):
    """What a run has said, by id or by book and time, and how many decisions it said again."""

    decisions: dict[str, bytes]
    executions: dict[str, bytes]
    accounts: dict[str, bytes]
    n_repeats: int

    def differs(self, other: "Outcome") -> str:
        """Say how this outcome differs from another; empty if it does not."""
        found = []
        for name, mine, theirs in zip(self._fields[:3], self[:3], other[:3], strict=True):
            missing, more = theirs.keys() - mine.keys(), mine.keys() - theirs.keys()
            changed = [key for key in mine.keys() & theirs.keys() if mine[key] != theirs[key]]
            if missing or more or changed:
                found.append(
                    f"{name}: {len(missing)} missing, {len(more)} more, {len(changed)} changed, "
                    f"first {min((*missing, *more, *changed))}"
                )
        return "; ".join(found)


def _told(log: Path) -> str:
    """Return the end of a worker's log without the requests that it answered."""
    lines = (line for line in log.read_bytes().splitlines() if b" tradewind.http " not in line)
    return b"\n".join(lines)[-_LOG_TAIL_BYTES:].decode(errors="replace")


@dataclass
class Trial:
    """One run on topics of its own, its workers and what was seen of it."""

    run: Run
    children: Children
    watch: Observer
    producer: AIOKafkaProducer
    clock: Clock
    consumer: AIOKafkaConsumer
    tape: Tape
    started: dict[str, Process] = field(default_factory=dict)
    serving: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stats_port: int = 0
    n_fed: int = 0
    patience_s: float = PATIENCE_S

    def start(
        self, instance: str = "0", program: str = "agents", serving: Iterable[str] | None = None
    ) -> Process:
        """Start a worker; its log holds what it said since this start.

        ``serving`` are the options of its API, by default those of the worker before it.
        """
        before = self.started.get(instance)
        assert before is None or not before.alive(), f"worker {instance} runs already"
        self.stats_port = free_port("127.0.0.1")
        if serving is not None:
            self.serving[instance] = tuple(serving)
        options = self.serving.get(instance, ())
        arguments = (*worker_arguments(self.run, self.stats_port, instance), *options)
        self.children.start_program(f"worker-{instance}", sys.executable, "-m", program, *arguments)
        self.started[instance] = self.children.running[f"worker-{instance}"]
        return self.started[instance]

    def options(self) -> tuple[str, ...]:
        """Return the options of a worker that is started by hand."""
        self.run.data.mkdir(parents=True, exist_ok=True)
        return (
            f"--bootstrap={self.run.bootstrap_servers}",
            f"--data={self.run.data / 'tables'}",
            f"--artifacts={self.run.artifacts}",
            f"--run={self.run.name}",
            f"--web-port={free_port('127.0.0.1')}",
        )

    async def end(self, sign: signal.Signals, instance: str = "0") -> None:
        """Send a worker a signal and wait until it is gone."""
        process = self.children.running.pop(f"worker-{instance}")
        assert process.alive(), f"worker {instance} had ended by itself\n{self.log_tail()}"
        os.kill(process.pid, sign)
        await self.until(lambda: not process.alive(), f"worker {instance} gone after {sign.name}")

    def forget(self, instance: str = "0") -> None:
        """Delete a worker's local tables."""
        shutil.rmtree(self.run.data / f"tables-{instance}")

    def log_tail(self) -> str:
        """Return the ends of the workers' logs."""
        tails = (
            f"--- worker {name}:\n{_told(self.children.log_of(f'worker-{name}'))}"
            for name in self.started
        )
        return "\n".join(tails)

    def stands(self) -> str:
        """Return the ends of the workers' logs, and where the tasks of those that run wait."""
        alive = [f"worker-{name}" for name, process in self.started.items() if process.alive()]
        return "\n".join([self.log_tail(), *map(self.children.where, alive)])

    async def until(
        self,
        holds: Callable[[], bool | Awaitable[bool]],
        what: str,
        *,
        timeout_s: float = PATIENCE_S,
    ) -> None:
        """Wait until something holds; fail with the workers' logs if it does not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    held = holds()
                    if held if isinstance(held, bool) else await held:
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s:g} s: {what}\n{self.stands()}") from None

    async def decided(self, close_ns: int) -> None:
        """Wait until a bar is decided."""
        try:
            await self.watch.decided(close_ns, patience_s=self.patience_s)
        except TimeoutError:
            raise AssertionError(f"{close_ns} was not decided\n{self.stands()}") from None

    def undecided(self) -> int:
        """Return how many bars were sent whole and are not decided, as far as is seen."""
        return self.n_fed - bisect_right(self.tape.closes_ns(), self.watch.seen.decided_ns)

    async def ends(self, topic: str) -> int:
        """Return how many records a topic of the run has ever had."""
        partitions = [TopicPartition(topic, p) for p in range(N_PARTITIONS)]
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(partitions)
        return sum(ends.values())

    async def snapshots(self, stage: str) -> int:
        """Return how many snapshots a stage has written."""
        return await self.ends(topics.changelog_name(app_id(self.run.name), stage))

    async def snapshotted(self, stage: str) -> None:
        """Wait until a stage has written a snapshot."""

        async def has_written() -> bool:
            return await self.snapshots(stage) > 0

        await self.until(has_written, f"a snapshot of {stage}")

    async def members(self, n: int) -> None:
        """Wait until the workers' group is settled with so many members."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.run.bootstrap_servers)
        await admin.start()

        async def is_settled() -> bool:
            try:
                (answer,) = await admin.describe_consumer_groups([app_id(self.run.name)])
            except GroupCoordinatorNotAvailableError:
                return False  # the broker has never had a group before
            _, _, state, _, _, members, *_ = answer.groups[0]
            return state == "Stable" and len(members) == n

        try:
            await self.until(is_settled, f"{n} members in the group")
        finally:
            await admin.close()

    async def records(self, name: str) -> list[ConsumerRecord]:
        """Return all records of a topic of the catalogue, partition by partition."""
        topic = self.run.prefix + name
        consumer = AIOKafkaConsumer(bootstrap_servers=self.run.bootstrap_servers)
        await consumer.start()
        found = []
        try:
            for number in range(N_PARTITIONS):
                partition = TopicPartition(topic, number)
                consumer.assign([partition])
                await consumer.seek_to_beginning(partition)
                end = (await consumer.end_offsets([partition]))[partition]
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found.extend(records)
        finally:
            await consumer.stop()
        return found

    async def tail(self, name: str) -> AsyncIterator[ConsumerRecord]:
        """Yield what comes to a topic of the catalogue from now on."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.run.bootstrap_servers)
        await consumer.start()
        try:
            partitions = [TopicPartition(self.run.prefix + name, n) for n in range(N_PARTITIONS)]
            consumer.assign(partitions)
            await consumer.seek_to_end(*partitions)
            while True:
                for records in (await consumer.getmany(timeout_ms=20)).values():
                    for record in records:
                        yield record
        finally:
            await consumer.stop()

    async def outcome(self) -> "Outcome":
        """Return what the run has said, once each; the same id with other bytes is a failure."""
        said = await self.records(topics.TRADING_DECISIONS.name)
        decisions = _once(said, "decision_id")
        executions = _once(await self.records(topics.EXECUTIONS.name), "execution_id")
        accounts = await self.records(topics.PORTFOLIO_SNAPSHOTS.name)
        of_accounts = _once(accounts, "portfolio", "timestamp")
        return Outcome(decisions, executions, of_accounts, len(said) - len(decisions))

    def findings(self) -> dict[str, Findings]:
        """Verify every portfolio from what was seen."""
        return verify_run(self.run, self.watch)

    async def feed(
        self, moments: dict[int, Moment] | None = None, window_bars: int = _WINDOW_BARS
    ) -> None:
        """Replay the whole tape; before the n-th bar is sent, do what is planned for it."""
        closes = self.tape.closes_ns()
        number = {close: n for n, close in enumerate(closes)}

        async def gate(close_ns: int) -> None:
            n = number[close_ns]
            if n >= window_bars:
                await self.decided(closes[n - window_bars])
            if moments and n in moments:
                await moments[n](self)
            self.n_fed = n

        await self.pour(gate)
        await self.decided(closes[-1])

    async def pour(self, gate: Gate) -> None:
        """Announce the epoch and send the whole tape, each bar when the gate lets it through."""
        closes = self.tape.closes_ns()
        await self.clock.announce(1, Epochs(Artifacts(self.run.artifacts)).put(self.run.epoch), 0)
        stretch = Stretch(closes[0], closes[-1])
        await replay(self.tape, self.clock, stretch, lateness_ms=0, gate=gate, sent=lambda _: None)


def fit(home: Path) -> str:
    """Return the digest of the models of all runs; a home that has them is not fitted again."""
    closes = FIT_TAPE.closes_ns()
    stretch = Stretch(closes[0], closes[-1])
    return models_for(FIT_TAPE, stretch, Artifacts(home / "artifacts"), lambda *_: None)[0]


def people(action: Literal["halt", "reduce", "resume"]) -> Moment:
    """Return a moment at which people speak to the book: an order, and a change of its state."""

    async def speak(run: Trial) -> None:
        ts_event = run.watch.seen.decided_ns
        said = (
            OrderIntent(
                portfolio="main",
                ts_event=ts_event,
                intent_id=f"order-{action}",
                symbol=run.tape.symbols[0],
                side="BUY",
                quantity=3,
            ),
            TradingState(
                portfolio="main",
                ts_event=ts_event,
                change_id=f"state-{action}",
                actor="ann",
                role="admin",
                reason="test",
                action=action,
            ),
        )
        topic = run.run.prefix + topics.PORTFOLIO_EVENTS.name
        for each in said:
            await run.producer.send_and_wait(topic, msgspec.json.encode(each), key=b"main")

    return speak


def _once(records: list[ConsumerRecord], *fields: str) -> dict[str, bytes]:
    """Return values by fields of theirs; repeated records must be equal to the byte."""
    found: dict[str, bytes] = {}
    for record in records:
        said: dict[str, Any] = msgspec.json.decode(record.value)
        name = " ".join(said[field] for field in fields)
        known = found.setdefault(name, record.value)
        assert known == record.value, f"{record.topic}: {name} came with other bytes"
    return found


def epoch(models: str, tape: Tape = TAPE) -> Epoch:
    """Return the epoch of a tape: one paper account over all symbols."""
    return Epoch(
        timeframe=tape.timeframe,
        n_partitions=N_PARTITIONS,
        clock_id="trial",
        lateness_ms=0,
        max_ahead_ms=5_000,
        venue_latency_ms=5,
        instruments=tuple(Instrument(id=symbol) for symbol in tape.symbols),
        portfolios=(Portfolio(id="main", limits=LIMITS),),
        models=models,
        pipeline_version=PIPELINE_VERSION,
        pipeline_digest=pipeline_digest(),
    )


@asynccontextmanager
async def trial(
    servers: str,
    home: Path,
    models: str,
    name: str,
    portfolios: tuple[Portfolio, ...] = (),
    tape: Tape = TAPE,
) -> AsyncIterator[Trial]:
    """Declare a run of its own and watch it; no worker runs yet, all that were started end."""
    terms = epoch(models, tape)
    if portfolios:
        terms = msgspec.structs.replace(terms, portfolios=portfolios)
    run = Run(name, servers, home, terms)
    await declare(run, replication=1)
    children = Children(run.data / "logs", {"TRADEWIND_PARTITIONS": str(N_PARTITIONS)})
    watch = Observer(servers, run.prefix, n_portfolios=len(terms.portfolios))
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    # The tape waits for a broker that is away; aiokafka gives up what it waits for after 40 s.
    producer._message_accumulator._batch_ttl = math.inf
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await producer.start()
    await consumer.start()
    watching = asyncio.create_task(watch.follow())
    clock = Clock(producer, ticks_topic(run.prefix), N_PARTITIONS, run.epoch.clock_id)
    try:
        yield Trial(run, children, watch, producer, clock, consumer, tape)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(children.stop)
        await consumer.stop()
        await producer.stop()
