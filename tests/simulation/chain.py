"""The whole chain in one process: a tape, a broker, workers that come, go and die, by a seed.

``python -m tests.simulation.chain N [FIRST_SEED]`` plays so many seeds and says which are wrong.
Time is virtual, so a rebalance that takes seconds costs nothing. The stages and folds are the
product's; what surrounds them is :mod:`tests.simulation.broker`, ``group``, ``worker``, ``world``.
"""

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest.mock import patch

import msgspec
from faust.types import TP

from agents.risk import RiskFold
from agents.stage import Output
from models.features.catalogue import WARMUP_BARS
from streams import topics
from streams.epochs import Epoch, Portfolio
from streams.sources.replay import Clock, Stretch, replay
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from streams.transport import Outgoing
from tables.epochs import Epochs
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts
from tests.runs import LIMITS, epoch, fit
from tests.simulation import virtual
from tests.simulation.broker import N_PARTITIONS, Log
from tests.simulation.world import DYING_RECORDS, PORTFOLIOS, Death, World

# Orders are made on its last bars, of which every seed plays the same.
TAPE = SyntheticTape(symbols=4, bars=WARMUP_BARS + 36, ticks_per_bar=2, seed=5)
_WARM_BARS = WARMUP_BARS + 20
_MOST_BEGIN = 3

# Snapshots come often here, so that there are many to die beside.
_OFTEN: dict[str, object] = {
    "agents.bars.SNAPSHOT_BEATS": 8,
    "agents.slice_stage.SNAPSHOT_SLICES": 4,
    "agents.risk.SNAPSHOT_BARS": 4,
    "agents.execution.SNAPSHOT_RECORDS": 2,
    # A death is what was asked for: nobody needs its traceback.
    "agents.stage.log.disabled": True,
}

# What is the book's to say: it depends on where in its log the people's records stand.
_OF_BOOK = (topics.TRADING_DECISIONS.name, topics.EXECUTIONS.name, topics.PORTFOLIO_SNAPSHOTS.name)


class Played(NamedTuple):
    """What a run has left: its log, how it went, and what was done to it."""

    log: Log
    trace: str
    strikes: Counter[str]
    has_people: bool


class Simulation:
    """Runs of one tape on one set of models, all from the same warm state.

    Parameters
    ----------
    home
        Where the models are.
    models
        Their digest.
    tape
        The input.
    """

    def __init__(self, home: Path, models: str, tape: Tape = TAPE) -> None:
        self.epochs = Epochs(Artifacts(home / "artifacts"))
        self.tape, self._digest = tape, self.epochs.put(_document(models, tape))
        with _often():
            self.warm, self.input = virtual.run(self._begin())
            self.sound = virtual.run(self._alone())

    def _world(self, log: Log, seed: int) -> World:
        draw = random.Random(seed)  # noqa: S311  a seeded experiment
        return World(self.epochs, self.tape.symbols, log, draw)

    async def _begin(self) -> tuple[Log, list[Outgoing]]:
        """Let one worker read what comes before, and stop; return its log and the rest."""
        records = await self._records()
        cut = len(records) * _WARM_BARS // len(self.tape.closes_ns())
        world = self._world(Log(), 0)
        world.want("0")
        for one in records[:cut]:
            world.broker.append(one)
        await world.settle()
        await world.unwant("0").ended.wait()
        _raise_any(world)
        return world.broker.log, records[cut:]

    async def _alone(self) -> Log:
        """Let one worker read the rest, and nothing happen to it."""
        world = self._world(self.warm.copy(), 0)
        world.want("0")
        await world.feed(self.input)
        await world.settle()
        _raise_any(world)
        return world.broker.log

    async def _records(self) -> list[Outgoing]:
        """Return all records of the tape and of its clock."""
        sent = _Sent()
        closes = self.tape.closes_ns()
        clock = Clock(cast(Any, sent), topics.MARKET_TICKS.name, N_PARTITIONS, "trial")
        await clock.announce(1, self._digest, 0)
        stretch = Stretch(closes[0], closes[-1])
        await replay(self.tape, clock, stretch, lateness_ms=0, gate=_open, sent=lambda _: None)
        return sent.records

    def play(self, seed: int) -> Played:
        """Play one seed."""
        with _often():
            return virtual.run(self._play(seed))

    async def _play(self, seed: int) -> Played:
        world = self._world(self.warm.copy(), seed)
        for name in "012"[: world.draw.randint(1, _MOST_BEGIN)]:
            world.want(name)
        feeding = asyncio.create_task(world.feed(self.input))
        await world.strike(world.draw.randint(2, 10))
        await feeding
        await world.settle()
        _raise_any(world)
        return _played(world)

    def dies(self, deaths: Sequence[Death], seed: int) -> str:
        """Let one worker die at one failpoint after the other.

        Say which death did not come, or what was said otherwise; empty if nothing.
        """
        with _often():
            played, came = virtual.run(self._die(deaths, seed))
        missing = Counter(deaths) - came
        if missing:
            return f"seed {seed}: {missing.total()} deaths did not come, first {min(missing)}"
        said = self.differs(played)
        return said and f"seed {seed}: {said}"

    async def _die(self, deaths: Sequence[Death], seed: int) -> tuple[Played, Counter[Death]]:
        world, came = self._world(self.warm.copy(), seed), Counter[Death]()
        world.want("0")
        feeding = asyncio.create_task(world.feed(self.input, most=DYING_RECORDS))
        dying = asyncio.create_task(world.die(deaths, came))
        await feeding
        await world.settle()
        dying.cancel()
        _raise_any(world)
        return _played(world), came

    def differs(self, played: Played) -> str:
        """Say what a run said otherwise than the one that nothing happened to; empty if nothing."""
        expected = self._expected(played)
        for tp, values in expected.items():
            said = played.log.values(tp, len(self.warm.records.get(tp, ())))
            if said != values and not self._is_same_shared(tp, said, values, played):
                return f"{tp.topic}[{tp.partition}] has {len(said)} values, expected {len(values)}"
        return ""

    def _expected(self, played: Played) -> dict[TP, list[bytes]]:
        expected = {
            tp: self.sound.values(tp, len(self.warm.records.get(tp, ())))
            for tp in self.sound.records
        }
        if played.has_people:
            expected = {tp: of for tp, of in expected.items() if tp.topic not in _OF_BOOK}
            expected |= self._folded(played.log)
        return expected

    def _is_same_shared(
        self, tp: TP, said: list[bytes], values: list[bytes], played: Played
    ) -> bool:
        """Compare the book's log: its writers' turns are the broker's to give, and people write."""
        if tp.topic != topics.PORTFOLIO_EVENTS.name:
            return False
        slices = [value for value in said if not value.startswith(b"{")]
        return sorted(slices) == sorted(values) and (played.has_people or slices == said)

    def _folded(self, log: Log) -> dict[TP, list[bytes]]:
        """Return what the book says of the log it was given, read once from the warm state on."""
        found: dict[TP, list[bytes]] = {}
        for partition in range(N_PARTITIONS):
            tp = TP(topics.PORTFOLIO_EVENTS.name, partition)
            states = {
                one.key: one.stamped for one in self.warm.changelogs.get(("risk", partition), ())
            }
            fold = RiskFold(self.epochs, cast(Callable[[bytes], Stamped | None], states.get))
            for record in log.records.get(tp, [])[self.warm.committed.get(tp, 0) :]:
                for one in fold.apply(record):
                    if isinstance(one, Output):
                        where = TP(one.topic, partition if one.partition is None else one.partition)
                        found.setdefault(where, []).append(one.value)
        return {tp: list(dict.fromkeys(values)) for tp, values in found.items()}


def _document(models: str, tape: Tape) -> Epoch:
    portfolios = tuple(Portfolio(id=name, limits=LIMITS) for name in PORTFOLIOS)
    return msgspec.structs.replace(epoch(models, tape), portfolios=portfolios)


def _played(world: World) -> Played:
    broker = world.broker
    return Played(broker.log, broker.trace.digest(), world.strikes, world.has_people)


def _raise_any(world: World) -> None:
    for error in world.failures():
        raise error


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


@contextmanager
def _often() -> Iterator[None]:
    """Patch the settings of the stages."""
    with ExitStack() as stack:
        for name, value in _OFTEN.items():
            stack.enter_context(patch(name, value))
        yield


def play_many(simulation: Simulation, seeds: Iterable[int]) -> tuple[Counter[str], list[str]]:
    """Play seeds; return what was done to them, and which said something else."""
    strikes, wrong = Counter[str](), []
    for seed in seeds:
        try:
            played = simulation.play(seed)
        except Exception as error:  # noqa: BLE001  whatever ended a world is its seed's finding
            wrong.append(f"seed {seed}: {error!r}")
            continue
        strikes += played.strikes
        if said := simulation.differs(played):
            wrong.append(f"seed {seed}: {said}")
    return strikes, wrong


def main(arguments: list[str]) -> None:
    """Play seeds and print what was found."""
    first = int(arguments[1]) if len(arguments) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        simulation = Simulation(home, fit(home))
        strikes, wrong = play_many(simulation, range(first, first + int(arguments[0])))
    print(dict(strikes))  # noqa: T201  the program's answer
    print("\n".join(wrong) or "no difference")  # noqa: T201  as above
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(sys.argv[1:])
