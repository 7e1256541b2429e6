"""A soak: bars close by the wall clock, and once a minute something is killed or taken away.

The tape never waits for what is struck, so a bar that is decided late is late.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

from agents.run.drive import start_forensics
from agents.run.stores import database
from models.features.catalogue import WARMUP_BARS
from streams.clock import monotonic_s
from streams.sources.synthetic import SyntheticTape
from tests.chaos.cache_faults import redis_killed, with_redis
from tests.chaos.campaign import Played, judged
from tests.chaos.faults import How, Place, Strike, Struck, kill, outage

BAR_S = 10.0
SAMPLE_S = 2.0

# Sent as fast as they are decided, before bars go by the clock.
_WARM_BARS = WARMUP_BARS + 7
_WINDOW_BARS = 12
_MINUTE_S = 60.0
_STRUCK_FROM_S, _STRUCK_TO_S = 5.0, 30.0
_AWAY_S = (5.0, 15.0)

ROLES = ("worker-0", "archive", "forensics")


class Sample(NamedTuple):
    """What a process had at a time: resident memory and open files."""

    role: str
    pid: int
    at_s: float
    memory_mb: float
    n_files: int


@dataclass
class Soaked:
    """What a soak saw: what became of the run, how late each bar was, and what processes took."""

    played: Played = field(default_factory=Played)
    late_s: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    strikes: Counter[str] = field(default_factory=Counter)


async def _broker_away(struck: Struck) -> None:
    await outage(struck, struck.draw.uniform(0.0, 2.0))


async def _database_away(struck: Struck) -> None:
    children = struck.trial.children
    process = children.running.pop("postgres")
    os.kill(process.pid, signal.SIGKILL)
    await struck.trial.until(lambda: not process.alive(), "the database gone")
    await asyncio.sleep(struck.draw.uniform(*_AWAY_S))
    await asyncio.to_thread(database, struck.trial.run.home, children)


async def _forensics_killed(struck: Struck) -> None:
    children = struck.trial.children
    process = children.running.pop("forensics")
    os.kill(process.pid, signal.SIGKILL)
    await struck.trial.until(lambda: not process.alive(), "forensics gone")
    start_forensics(struck.trial.run, children)


STRIKES: dict[str, Strike] = {
    "worker killed": kill,
    "broker killed or stopped": _broker_away,
    "database away": _database_away,
    "Redis killed": redis_killed,
    "forensics killed": _forensics_killed,
}


async def soak(place: Place, seed: int, minutes: int) -> Soaked:
    """Play one run for so many minutes."""
    n_bars = _WARM_BARS + int(minutes * _MINUTE_S / BAR_S)
    tape = SyntheticTape(symbols=8, bars=n_bars, ticks_per_bar=20, seed=seed, timeframe="10s")
    found = Soaked()

    async def run(struck: Struck) -> None:
        async with with_redis(struck):
            await _soaked(struck, minutes, found)

    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    how = How(equal=False, rows=True, tape=tape)
    found.played = await judged(place, f"soak-{seed}", draw, run, how)
    return found


async def _soaked(struck: Struck, minutes: int, found: Soaked) -> None:
    closes = struck.trial.tape.closes_ns()
    due_s: dict[int, float] = {}
    decided_s: dict[int, float] = {}
    beside: list[asyncio.Task[None]] = []

    async def gate(close_ns: int) -> None:
        struck.trial.n_fed = n = closes.index(close_ns)
        if n < _WARM_BARS:
            if n >= _WINDOW_BARS:
                await struck.trial.decided(closes[n - _WINDOW_BARS])
            return
        if n == _WARM_BARS:
            await struck.trial.decided(closes[n - 1])
            begun_s = monotonic_s()
            due_s.update({c: begun_s + BAR_S * at for at, c in enumerate(closes[n:])})
            acts: tuple[Callable[[], Awaitable[None]], ...] = (
                lambda: _strike(struck, minutes, begun_s, found.strikes),
                lambda: _note(struck, due_s, decided_s),
                lambda: _sample(struck, found.samples),
            )
            beside.extend(asyncio.ensure_future(act()) for act in acts)
        for task in beside:
            if task.done():
                task.result()
        await asyncio.sleep(max(0.0, due_s[close_ns] - monotonic_s()))

    try:
        await struck.trial.pour(gate)
        await beside[0]
        await beside[1]
    finally:
        for task in beside:
            task.cancel()
    found.late_s = [decided_s[close] - due_s[close] for close in due_s]


async def _strike(struck: Struck, minutes: int, begun_s: float, n_by_name: Counter[str]) -> None:
    """Strike once a minute; each kind comes as often as the others, in a drawn order."""
    names: list[str] = []
    for minute in range(minutes):
        if not names:
            names = sorted(STRIKES)
            struck.draw.shuffle(names)
        at_s = begun_s + _MINUTE_S * minute + struck.draw.uniform(_STRUCK_FROM_S, _STRUCK_TO_S)
        await asyncio.sleep(max(0.0, at_s - monotonic_s()))
        name = names.pop()
        await STRIKES[name](struck)
        struck.n_strikes += 1
        n_by_name[name] += 1


async def _note(struck: Struck, due_s: dict[int, float], decided_s: dict[int, float]) -> None:
    """Note when each bar is seen to be decided."""
    for close_ns in due_s:
        await struck.trial.decided(close_ns)
        decided_s[close_ns] = monotonic_s()


async def _sample(struck: Struck, samples: list[Sample]) -> None:
    while True:
        for role in ROLES:
            process = struck.trial.children.running.get(role)
            if process is not None and process.alive():
                try:
                    there = psutil.Process(process.pid)
                    taken = (there.memory_info().rss / 2**20, there.num_fds())
                except psutil.NoSuchProcess:
                    continue
                samples.append(Sample(role, process.pid, monotonic_s(), *taken))
        await asyncio.sleep(SAMPLE_S)
