"""Campaigns: faults played on runs of their own until there are enough, each run judged at its end.

A run is judged twice: by comparing every byte that it said with a run to which nothing happened,
and by the judge, which reads its topics alone. Seeds are printed, and a campaign with the same seed
plays the same plan; what the processes make of it is theirs.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

import psutil

from agents.run.archived import archived, audited
from agents.run.drive import start_archive, start_forensics
from agents.run.stores import database
from streams.clock import run_stamp
from tables.stores.servers.postgres import PostgresServer
from tests.chaos.faults import Fault, How, Place, Strike, Struck, die_at
from tests.runs import PATIENCE_S, TAPE, Moment, Outcome, Trial, trial

# Bars at the ends of a tape at which nothing is done: a run shall begin, and be able to end.
_BEFORE, _BEHIND = 30, 40

# Between strikes: a worker shall have decided again before it is struck once more.
_APART, _JITTER = 30, 10

# What the second worker may be later than the first one.
_TOGETHER_S = 1.0

# The tape waits so many bars before its end for strikes that are under way.
_LAST = 5

# What a worker may grow by while a whole tape waits for it.
FLOOD_GROWTH_MB = 200.0
_SAMPLE_S = 0.1


@dataclass
class Played:
    """What became of a campaign."""

    n_runs: int = 0
    n_strikes: int = 0
    n_repeats: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    generations: list[tuple[int, int]] = field(default_factory=list)
    n_rows_runs: int = 0
    n_asked: int = 0
    n_aside: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Played") -> None:
        """Add another campaign."""
        self.n_runs += other.n_runs
        self.n_strikes += other.n_strikes
        self.n_repeats += other.n_repeats
        self.recoveries_s += other.recoveries_s
        self.under_way += other.under_way
        self.generations += other.generations
        self.n_rows_runs += other.n_rows_runs
        self.n_asked += other.n_asked
        self.n_aside += other.n_aside
        self.violations += other.violations


async def undisturbed_of(place: Place) -> Outcome:
    """Return what one worker says about a place's tape when nothing happens to it."""
    run = f"undisturbed-{run_stamp()}"
    async with trial(place.servers, place.home, place.models, run, tape=place.tape) as alone:
        alone.start()
        await alone.feed()
        return await alone.outcome()


async def play(place: Place, fault: Fault, seed: int, n: int = 0) -> Played:
    """Play one run with ``n`` strikes of a fault, or as many as a run can take."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    n_bars = len((fault.how.tape or place.tape).closes_ns())
    bars = range(_BEFORE, n_bars - _BEHIND - _JITTER, _APART)
    drawn = sorted(draw.sample(bars, n or fault.per_run))
    plan = {bar + draw.randrange(_JITTER): fault.strike for bar in drawn}
    return await follow(place, f"{fault.name}-{seed}", plan, draw, fault.how)


async def follow(
    place: Place,
    name: str,
    plan: Mapping[int, Strike],
    draw: random.Random,
    how: How = How(),  # noqa: B008  a value
) -> Played:
    """Play one run with planned strikes, each from its bar on."""

    async def run(struck: Struck) -> None:
        struck.trial.start()
        await feed(struck, plan, how)

    return await judged(place, name, draw, run, how)


async def feed(
    struck: Struck,
    plan: Mapping[int, Strike],
    how: How,
    moments: Mapping[int, Moment] = MappingProxyType({}),
) -> None:
    """Send the tape, and strike from each planned bar on while it goes on.

    ``moments`` are no strikes. Before the next strike, and shortly before its end, the tape waits
    until the one before is over.
    """
    striking: list[asyncio.Task[None]] = []

    async def settle(_: Trial) -> None:
        await asyncio.gather(*striking)

    async def act(strike: Strike) -> None:
        await strike(struck)
        struck.n_strikes += 1

    def moment(strike: Strike) -> Moment:
        async def begin(trial: Trial) -> None:
            await settle(trial)
            striking.append(asyncio.create_task(act(strike)))
            if not how.beside:
                await settle(trial)

        return begin

    last = len(struck.trial.tape.closes_ns()) - _LAST
    planned = {bar: moment(strike) for bar, strike in plan.items()}
    try:
        await struck.trial.feed({**moments, **planned, last: settle})
    finally:
        for task in striking:
            task.cancel()


async def die(
    place: Place,
    deaths: Sequence[tuple[str, str, int]],
    seed: int,
    how: How = How(),  # noqa: B008  a value
    moments: dict[int, Moment] | None = None,
    check: Strike | None = None,
) -> Played:
    """Let the worker die at one failpoint after the other while the tape goes on.

    ``check`` looks at the run behind it.
    """

    async def run(struck: Struck) -> None:
        feeding = asyncio.create_task(struck.trial.feed(moments))
        try:
            for stage, point, times in deaths:
                await die_at(struck, stage, point, times)
        except AssertionError as error:
            struck.violations.append(str(error))
        struck.trial.start()
        await feeding
        if check is not None:
            await check(struck)

    name = f"die-{deaths[0][0]}-{seed}"
    return await judged(place, name, random.Random(seed), run, how)  # noqa: S311  as above


async def begin_together(place: Place, seed: int) -> Played:
    """Let two workers begin a run at about the same time, while its first ticks come.

    The second one makes the group rebalance before anything was committed.
    """
    draw = random.Random(seed)  # noqa: S311  a seeded experiment

    async def run(struck: Struck) -> None:
        struck.trial.start("0")
        await asyncio.sleep(draw.uniform(0.0, _TOGETHER_S))
        struck.trial.start("1")
        struck.n_strikes += 1
        try:
            await struck.trial.feed()
        except AssertionError as error:
            struck.violations.append(str(error))

    return await judged(place, f"together-{seed}", draw, run, How(equal=False, tape=TAPE))


async def flood(place: Place, seed: int) -> Played:
    """Send the whole tape at once, whatever the worker has done of it."""

    async def send(struck: Struck) -> None:
        await struck.trial.feed(window_bars=len(place.tape.closes_ns()))

    return await watched(place, f"flood-{seed}", seed, send)


async def watched(place: Place, name: str, seed: int, send: Strike) -> Played:
    """Play one run in which the tape is sent in another way, and watch the worker's memory."""

    async def run(struck: Struck) -> None:
        worker = psutil.Process(struck.trial.start().pid)
        await struck.trial.members(1)
        first_mb, most_mb = worker.memory_info().rss / 2**20, 0.0
        sending = asyncio.ensure_future(send(struck))
        while not sending.done():
            most_mb = max(most_mb, worker.memory_info().rss / 2**20)
            await asyncio.sleep(_SAMPLE_S)
        await sending
        struck.n_strikes += 1
        if most_mb - first_mb > FLOOD_GROWTH_MB:
            struck.violations.append(
                f"the worker grew by {most_mb - first_mb:.0f} MB, at most {FLOOD_GROWTH_MB:g}"
            )

    return await judged(place, name, random.Random(seed), run, How())  # noqa: S311  as above


async def judged(
    place: Place,
    name: str,
    draw: random.Random,
    run: Callable[[Struck], Awaitable[None]],
    how: How,
) -> Played:
    """Play one run and judge it at its end."""
    tape = how.tape or place.tape
    parts = (place.servers, place.home, place.models, name, how.portfolios, tape)
    async with trial(*parts) as alone, _rows(alone, wanted=how.rows) as server:
        struck = Struck(alone, draw, place)
        try:
            await run(struck)
            await asyncio.gather(*struck.watching)
        finally:
            for task in struck.keeping:
                task.cancel()
        outcome = await alone.outcome()
        if how.equal and (differs := outcome.differs(place.undisturbed)):
            struck.violations.append(f"{name}: {differs}")
        if how.once and outcome.n_repeats:
            struck.violations.append(f"{name}: {outcome.n_repeats} decisions were said twice")
        if server is not None:
            await archived(alone.run, server, patience_s=PATIENCE_S)
            await audited(alone.run, server, patience_s=PATIENCE_S)
        if said := await asyncio.to_thread(_judge, place, name, server, how):
            struck.violations.append(f"{name}: {said}")
        return Played(
            n_runs=1,
            n_strikes=struck.n_strikes,
            n_repeats=outcome.n_repeats,
            recoveries_s=struck.recoveries_s,
            under_way=struck.under_way,
            generations=struck.generations,
            n_rows_runs=int(how.rows),
            n_asked=struck.n_asked,
            n_aside=struck.n_aside,
            violations=struck.violations,
        )


@asynccontextmanager
async def _rows(run: Trial, *, wanted: bool) -> AsyncIterator[PostgresServer | None]:
    """Let the archive and its database run along."""
    if not wanted:
        yield None
        return
    run.children.environment["TRADEWIND_HOME"] = str(run.run.home.parent)
    server = await asyncio.to_thread(database, run.run.home, run.children)
    if server is None:
        raise RuntimeError("no PostgreSQL: `make setup` installs the embedded one")
    start_archive(run.run, run.children)
    keeping = asyncio.create_task(_kept(run))
    try:
        yield server
    finally:
        keeping.cancel()


async def _kept(run: Trial) -> None:
    """Start the audit trail's role, and again when it ends, as a stack's keeper does.

    A head that it could not tell the broker for 40 s ends it.
    """
    while True:
        process = run.children.running.get("forensics")
        if process is None or not process.alive():
            start_forensics(run.run, run.children)
        await asyncio.sleep(_SAMPLE_S)


def _judge(place: Place, run: str, server: PostgresServer | None, how: How) -> str:
    """Return what the judge found; empty if every promise was kept."""
    where = [f"--bootstrap={place.servers}", f"--run={run}"]
    where.append(f"--artifacts={place.home / 'artifacts'}")
    if server is not None:
        where += [f"--database={server.url}", "--least=I7=1"]
    if how.clean:
        where.append("--clean")
    where.extend(f"--least={each}" for each in how.least)
    command = [sys.executable, "-m", "tests.chaos.judge", *where]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr
