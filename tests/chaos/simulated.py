"""The whole chain in this process, its stages as they are, on a log and tables that survive it.

A process is all stages at once. At a failpoint it dies: nothing that it still does is durable, and
the next one begins from the progress, the tables and the log that the last one has left. What was
handed to the broker and not acknowledged is in the log up to a record that is drawn.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest.mock import patch

import faust
from faust.types import TP

from agents.bars import BarFold
from agents.risk import RiskFold
from agents.signals import SignalFold
from agents.stage import Fold, FoldFactory, Reader, Stage
from streams import topics
from streams.partitions import partition_of
from streams.sources.replay import Clock, Stretch, replay
from streams.sources.tape import Tape
from streams.transport import Batch, Consumer, Outgoing, Producer, Record
from tables.epochs import Epochs
from tables.stamped import Stamped, StampedTable
from tables.stores.artifacts import Artifacts
from tests.runs import N_PARTITIONS, epoch

# Snapshots come often here, so that there are many to die beside.
_OFTEN: dict[str, object] = {
    "agents.bars.SNAPSHOT_BEATS": 8,
    "agents.slice_stage.SNAPSHOT_SLICES": 4,
    "agents.risk.SNAPSHOT_BARS": 4,
    "agents.stage._PAUSE_S": 0.0,
    # A death is what was asked for: nobody needs its traceback.
    "agents.stage.log.disabled": True,
}
_MOST_RECORDS = 24
_STILL_TURNS = 12

Death = tuple[str, str, int]


class DiedError(Exception):
    """The process ends here."""


class Log:
    """What survives a process: records, progress, and the states of the tables."""

    def __init__(self) -> None:
        self.records: dict[TP, list[Record]] = {}
        self.progress: dict[TP, int] = {}
        self.states: dict[tuple[str, int, bytes], Stamped] = {}

    def append(self, one: Outgoing) -> None:
        """Put a record behind those of its partition."""
        partition = one.partition
        if partition is None:
            partition = partition_of((one.key or b"").decode(), N_PARTITIONS)
        held = self.records.setdefault(TP(one.topic, partition), [])
        headers = list(one.headers or [])
        held.append(Record(one.topic, partition, len(held), one.key, one.value, headers))

    def said(self) -> dict[TP, list[bytes]]:
        """Return what each partition has been told, each once, in order of its first time."""
        found = {}
        for where, records in self.records.items():
            values = dict.fromkeys(record.value or b"" for record in records)
            # Two partitions write into the book's log, and their turns are the broker's to give.
            is_shared = where.topic == topics.PORTFOLIO_EVENTS.name
            found[where] = sorted(values) if is_shared else list(values)
        return found


@dataclass
class Armed:
    """The failpoint at which the process dies, and whether it has."""

    death: Death | None
    n_left: int = field(init=False)
    is_dead: bool = False

    def __post_init__(self) -> None:
        self.n_left = self.death[2] if self.death else 0

    def reach(self, stage: str, point: str) -> None:
        """Come to a place; the last visit ends the process."""
        if self.death is None or (stage, point) != self.death[:2]:
            return
        self.n_left -= 1
        if self.n_left == 0:
            self.is_dead = True
            raise DiedError(f"{stage}.{point}")


class _Reader(Consumer):
    def __init__(self, log: Log, armed: Armed) -> None:
        self._log, self._armed = log, armed

    def advance(self, tp: TP, next_offset: int) -> None:
        if not self._armed.is_dead:
            self._log.progress[tp] = next_offset

    def on_revoke(self, hook: Any) -> None:  # noqa: ANN401  signature of the base
        """Nothing is revoked here."""


class _Writer(Producer):
    def __init__(self, log: Log, armed: Armed, draw: random.Random) -> None:
        self._log, self._armed, self._draw = log, armed, draw

    async def send_all(
        self, records: Iterable[Outgoing], handed_over: Callable[[], None] = lambda: None
    ) -> None:
        sent = list(records)
        await _alive(self._armed)
        try:
            handed_over()
        except DiedError:
            for one in sent[: self._draw.randint(0, len(sent))]:
                self._log.append(one)
            raise
        for one in sent:
            self._log.append(one)


class _Table:
    def __init__(self, name: str, log: Log, armed: Armed) -> None:
        self._name, self._log, self._armed = name, log, armed

    def read(self, event: Any, key: bytes) -> Stamped | None:  # noqa: ANN401  Faust's event
        return self._log.states.get((self._name, event.message.partition, key))

    async def write(self, event: Any, key: bytes, stamped: Stamped) -> None:  # noqa: ANN401  Faust's event
        await _alive(self._armed)
        self._log.states[self._name, event.message.partition, key] = stamped


async def _alive(armed: Armed) -> None:
    """Let nobody go on in a process that is dead."""
    if armed.is_dead:
        await asyncio.get_running_loop().create_future()


class _Source(NamedTuple):
    """A stage's topic, and the events on their way to it."""

    topic: str
    queue: "asyncio.Queue[Any]"

    async def events(self) -> AsyncIterator[Any]:
        while True:
            yield await self.queue.get()


class Process:
    """All stages of one process, from its start to its death or to the end of the log."""

    def __init__(self, log: Log, epochs: Epochs, armed: Armed, draw: random.Random) -> None:
        self.log, self.armed, self.draw = log, armed, draw
        self.crashes: list[BaseException] = []
        app = SimpleNamespace(
            consumer=_Reader(log, armed),
            producer=_Writer(log, armed, draw),
            loop=asyncio.get_running_loop(),
            crash=self._crash,
            monitor=SimpleNamespace(tp_end_offsets={}),
        )
        self.sources: list[_Source] = []
        self.stages: list[Stage] = []
        self.tasks: list[asyncio.Task[None]] = []
        for name, topic, new_fold in _stages(epochs):
            table = cast(StampedTable, _Table(name, log, armed))
            stage = Stage(cast(faust.App, app), name, "", table, new_fold)
            source = _Source(topic, asyncio.Queue())
            self.stages.append(stage)
            self.sources.append(source)
            self.tasks.append(asyncio.create_task(stage.run(cast(Any, source))))
        self.positions = Counter(log.progress)

    async def _crash(self, error: BaseException) -> None:
        self.crashes.append(error)

    async def settle(self) -> None:
        """Hand over what is in the log, until nobody does anything any more."""
        still = 0
        while still < _STILL_TURNS and not self.crashes:
            before = self._mark()
            for source in self.sources:
                for partition in range(N_PARTITIONS):
                    self._hand_over(source, TP(source.topic, partition))
            await asyncio.sleep(0)
            still = still + 1 if self._mark() == before else 0
        if any(not isinstance(error, DiedError) for error in self.crashes):
            raise self.crashes[0]

    def _mark(self) -> tuple[int, ...]:
        n_records = sum(map(len, self.log.records.values()))
        return n_records, sum(self.log.progress.values()), sum(self.positions.values())

    def _hand_over(self, source: _Source, where: TP) -> None:
        begin = self.positions[where]
        records = self.log.records.get(where, [])[begin : begin + _MOST_RECORDS]
        if records:
            self.positions[where] = begin + len(records)
            message = SimpleNamespace(tp=where, partition=where.partition)
            source.queue.put_nowait(SimpleNamespace(message=message, value=Batch(records)))

    async def end(self) -> None:
        """Take the process away, whatever it is at."""
        self.armed.is_dead = True
        tasks = [*self.tasks, *(t.task for s in self.stages for t in s._tasks.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _stages(epochs: Epochs) -> Iterator[tuple[str, str, FoldFactory]]:
    """Yield name, topic and fold of each stage of the chain, as the worker has them."""

    def bars(partition: int, read: Reader) -> Fold:
        return BarFold(epochs, partition, read)

    def signals(partition: int, read: Reader) -> Fold:
        return SignalFold(epochs, partition, read)

    def risk(_partition: int, read: Reader) -> Fold:
        return RiskFold(epochs, read)

    yield "bars", topics.MARKET_TICKS.name, bars
    yield "signals", topics.MARKET_BARS.name, signals
    yield "risk", topics.PORTFOLIO_EVENTS.name, risk


class Played(NamedTuple):
    """What a run said, and the deaths that it had, by stage and point."""

    said: dict[TP, list[bytes]]
    deaths: Counter[tuple[str, str]]


class Simulation:
    """Runs of one tape on one set of models.

    Parameters
    ----------
    home
        Where the models are.
    models
        Their digest.
    tape
        The input.
    """

    def __init__(self, home: Path, models: str, tape: Tape) -> None:
        self.epochs = Epochs(Artifacts(home / "artifacts"))
        self.digest, self.tape = self.epochs.put(epoch(models, tape)), tape

    async def play(self, deaths: Sequence[Death], seed: int) -> Played:
        """Play the tape, and let the process die at one failpoint after the other.

        A death whose failpoint is not reached before the end of the tape is not counted.
        """
        draw = random.Random(seed)  # noqa: S311  a seeded experiment
        log, waiting, died = Log(), list(deaths), Counter[tuple[str, str]]()
        ticks = await self._ticks()
        armed = Armed(waiting.pop(0) if waiting else None)
        with _often(), ExitStack() as stack:
            stack.enter_context(patch("streams.failpoints._armed", armed))
            process = Process(log, self.epochs, armed, draw)
            while ticks or process.crashes:
                if not process.crashes:
                    for one in ticks[: (n := draw.randint(1, _MOST_RECORDS))]:
                        log.append(one)
                    del ticks[:n]
                await process.settle()
                if process.crashes:
                    died[cast(Death, armed.death)[:2]] += 1
                    await process.end()
                    armed = Armed(waiting.pop(0) if waiting else None)
                    stack.enter_context(patch("streams.failpoints._armed", armed))
                    process = Process(log, self.epochs, armed, draw)
                    await process.settle()
            await process.end()
        return Played(log.said(), died)

    async def _ticks(self) -> list[Outgoing]:
        """Return all records of the tape and of its clock."""
        sent = _Sent()
        closes = self.tape.closes_ns()
        clock = Clock(cast(Any, sent), topics.MARKET_TICKS.name, N_PARTITIONS, "trial")
        await clock.announce(1, self.digest, 0)
        stretch = Stretch(closes[0], closes[-1])
        await replay(self.tape, clock, stretch, lateness_ms=0, gate=_open, sent=lambda _: None)
        return sent.records


class _Sent:
    """A producer that remembers, for the clock."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> "asyncio.Future[None]":
        """Remember a record."""
        self.records.append(Outgoing(topic, key, value, headers or [], partition))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


async def _open(_close_ns: int) -> None:
    """Let every bar through."""


def _often() -> ExitStack:
    """Patch the settings of the stages, until the stack is left."""
    stack = ExitStack()
    for name, value in _OFTEN.items():
        stack.enter_context(patch(name, value))
    return stack


async def simulate(simulation: Simulation, sound: Played, deaths: list[Death], seed: int) -> str:
    """Play one run with deaths; say what it lacks against the sound one, empty if nothing."""
    played = await simulation.play(deaths, seed)
    missing = Counter(death[:2] for death in deaths) - played.deaths
    if missing:
        return f"seed {seed}: {missing.total()} deaths did not come, first {min(missing)}"
    for where, values in sound.said.items():
        if played.said.get(where) != values:
            n = len(played.said.get(where, []))
            return f"seed {seed}: {where.topic}[{where.partition}] has {n} values, not the same"
    return ""
