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
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest.mock import patch

import msgspec
from faust.types import TP

from agents.stage import Output, Reader
from agents.topology import trading_stages
from models.features.catalogue import WARMUP_BARS
from streams import topics
from streams.dead_letters import DeadLetter, Headers
from streams.epochs import Epoch, Portfolio
from streams.slices import Slice
from streams.sources.replay import Clock, Stretch, replay
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from streams.transport import Outgoing, Record
from tables.epochs import Epochs
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts
from tests.chaos.faults import MADE
from tests.runs import LIMITS, epoch, fit
from tests.simulation import virtual
from tests.simulation.broker import N_PARTITIONS, Log, place_of
from tests.simulation.disk import changelog_of
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

# What is the book's to say.
_OF_BOOK = (topics.TRADING_DECISIONS.name, topics.EXECUTIONS.name, topics.PORTFOLIO_SNAPSHOTS.name)
_JUDGED_BY_THEIR_LOG = ("risk", "execution")

# What is fed when all that was done to the workers is over: three bars of two partitions.
_LAST_RECORDS = 18


class Played(NamedTuple):
    """What a run has left: its log, how it went, what was done to it, and what people said."""

    log: Log
    trace: str
    strikes: Counter[str]
    by_people: list[Outgoing]


Told = tuple[bytes | None, bytes, Headers]
"""A record without its place, and without the header that says when it was made."""


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
        traded = {tp.topic for tp in self.sound.records if self._told(self.sound, tp)}
        assert traded >= set(_OF_BOOK), "nothing is traded behind the warm state"

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
        feeding = asyncio.create_task(world.feed(self.input[:-_LAST_RECORDS]))
        await world.strike(world.draw.randint(2, 10))
        await feeding
        await world.settle()
        await world.begin_anew()
        await world.feed(self.input[-_LAST_RECORDS:])
        await world.settle()
        _raise_any(world)
        return _played(world)

    def stage(self, scenario: Callable[[World], Awaitable[None]]) -> Played:
        """Play what a test wants to see, from the warm state on."""

        async def play() -> Played:
            world = self._world(self.warm.copy(), 0)
            await scenario(world)
            _raise_any(world)
            return _played(world)

        with _often():
            return virtual.run(play())

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
        said = {tp: self._told(played.log, tp) for tp in played.log.records}
        for tp in sorted(expected.keys() | said.keys()):
            mine, due = said.get(tp, []), expected.get(tp, [])
            if tp.topic == topics.PORTFOLIO_EVENTS.name:
                mine, due = self._by_writer(mine), self._by_writer(due)
            if tp.topic == topics.DEAD_LETTERS.name:
                mine, due = sorted(mine, key=repr), sorted(due, key=repr)
            if mine != due:
                return f"{tp.topic}[{tp.partition}] has {len(mine)} records, expected {len(due)}"
        return ""

    def _told(self, log: Log, tp: TP) -> list[Told]:
        """Return what a partition was told since the warm state, once each, by its first time."""
        since = len(self.warm.records.get(tp, ()))
        told = {
            (record.key, record.value or b"", _lasting(record.headers)): None
            for record in log.records.get(tp, [])[since:]
        }
        return [(key, value, list(headers)) for key, value, headers in told]

    def _by_writer(self, told: list[Told]) -> list[Told]:
        """Bring the book's log into one order: its writers' turns are the broker's to give."""

        def writer(one: Told) -> tuple[int, bytes]:
            is_slice = not one[1].startswith(b"{")
            return (Slice.decode(one[1]).meta.partition, b"") if is_slice else (-1, one[1])

        return sorted(told, key=writer)

    def _expected(self, played: Played) -> dict[TP, list[Told]]:
        expected = {tp: self._told(self.sound, tp) for tp in self.sound.records}
        if not played.by_people:
            return expected
        # What the book says depends on where in its log the people's records stand.
        expected = {tp: of for tp, of in expected.items() if tp.topic not in _OF_BOOK}
        log = Log({tp: list(held) for tp, held in self.warm.records.items()})
        for one in played.by_people:
            held = log.records.setdefault(place_of(one), [])
            held.append(_record(one, len(held)))
        for name in (topics.PORTFOLIO_EVENTS.name, topics.VENUE_EXECUTIONS.name):
            for partition in range(N_PARTITIONS):
                tp = TP(name, partition)
                expected[tp] = [*expected.get(tp, []), *self._told(log, tp)]
        for tp, told in self._folded(played.log).items():
            expected[tp] = [*expected.get(tp, []), *told]
        return {tp: told for tp, told in expected.items() if told}

    def _folded(self, log: Log) -> dict[TP, list[Told]]:
        """Return what the book, and what joins it, say of the logs that they were given.

        They are read once, in order, from the warm state on.
        """
        made: dict[TP, dict[tuple[bytes | None, bytes, _Lasting], None]] = {}
        for stage, source, new_fold in trading_stages(self.epochs):
            if stage not in _JUDGED_BY_THEIR_LOG:
                continue
            for partition in range(N_PARTITIONS):
                tp = TP(source.name, partition)
                fold = new_fold(partition, self._warm_states(stage, partition))
                for record in log.records.get(tp, [])[self.warm.committed.get(tp, 0) :]:
                    for one in fold.apply(record):
                        sent = _outgoing(one)
                        told = (sent.key, sent.value, _lasting(sent.headers))
                        made.setdefault(place_of(sent), {})[told] = None
        return {tp: [(k, v, list(h)) for k, v, h in told] for tp, told in made.items()}

    def _warm_states(self, stage: str, partition: int) -> Reader:
        written = self.warm.changelogs.get(TP(changelog_of(stage), partition), ())
        states = {one.key: Stamped.decode(one.value) for one in written}
        return states.get


_Lasting = tuple[tuple[str, bytes], ...]


def _lasting(headers: Headers) -> _Lasting:
    """Return the headers that are the same whenever a record was made."""
    return tuple(one for one in headers if one[0] != MADE)


def _outgoing(one: Output | DeadLetter) -> Outgoing:
    """Return a record as a stage sends it."""
    if isinstance(one, DeadLetter):
        key = one.origin.id().encode()
        return Outgoing(topics.DEAD_LETTERS.name, key, one.raw, one.headers(), None)
    return Outgoing(*one)


def _record(one: Outgoing, offset: int) -> Record:
    tp = place_of(one)
    return Record(tp.topic, tp.partition, offset, one.key, one.value, list(one.headers))


def _document(models: str, tape: Tape) -> Epoch:
    portfolios = tuple(Portfolio(id=name, limits=LIMITS) for name in PORTFOLIOS)
    return msgspec.structs.replace(epoch(models, tape), portfolios=portfolios)


def _played(world: World) -> Played:
    broker = world.broker
    return Played(broker.log, broker.trace.digest(), world.strikes, world.said)


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
