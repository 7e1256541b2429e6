"""Campaigns: faults played on runs of their own until there are enough, each run judged at its end.

A run is judged twice: by comparing every byte that it said with a run to which nothing happened,
and by the judge, which reads its topics alone. Seeds are printed, and a campaign with the same seed
plays the same plan; what the processes make of it is theirs.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault, Place, Struck, die_at
from tests.runs import trial

# Bars at the ends of a tape at which nothing is done: a run shall begin, and be able to end.
_BEFORE, _BEHIND = 30, 5


@dataclass
class Played:
    """What became of a campaign."""

    n_runs: int = 0
    n_strikes: int = 0
    n_repeats: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Played") -> None:
        """Add another campaign."""
        self.n_runs += other.n_runs
        self.n_strikes += other.n_strikes
        self.n_repeats += other.n_repeats
        self.recoveries_s += other.recoveries_s
        self.violations += other.violations


async def play(place: Place, fault: Fault, seed: int, n: int = 0) -> Played:
    """Play one run with ``n`` strikes of a fault, or as many as a run can take."""
    draw = random.Random(seed)  # noqa: S311  a seeded experiment
    bars = range(_BEFORE, len(place.tape.closes_ns()) - _BEHIND)
    moments = sorted(draw.sample(bars, n or fault.per_run))

    async def run(struck: Struck) -> None:
        async def strike(_: object) -> None:
            await fault.strike(struck)
            struck.n_strikes += 1

        struck.trial.start()
        await struck.trial.feed(dict.fromkeys(moments, strike))

    return await _judged(place, f"{fault.name}-{seed}", draw, run)


async def die(place: Place, deaths: Sequence[tuple[str, str, int]], seed: int) -> Played:
    """Let the worker die at one failpoint after the other while the tape goes on."""

    async def run(struck: Struck) -> None:
        feeding = asyncio.create_task(struck.trial.feed())
        try:
            for stage, point, times in deaths:
                await die_at(struck, stage, point, times)
        except AssertionError as error:
            struck.violations.append(str(error))
        struck.trial.start()
        await feeding

    return await _judged(place, f"die-{seed}", random.Random(seed), run)  # noqa: S311  as above


async def _judged(
    place: Place, name: str, draw: random.Random, run: Callable[[Struck], Awaitable[None]]
) -> Played:
    async with trial(place.servers, place.home, place.models, name, tape=place.tape) as alone:
        struck = Struck(alone, draw, place)
        await run(struck)
        await asyncio.gather(*struck.watching)
        outcome = await alone.outcome()
        if differs := outcome.differs(place.undisturbed):
            struck.violations.append(f"{name}: {differs}")
        if said := await asyncio.to_thread(_judge, place, name):
            struck.violations.append(f"{name}: {said}")
        return Played(
            1,
            struck.n_strikes,
            outcome.n_repeats,
            struck.recoveries_s,
            struck.violations,
        )


def _judge(place: Place, run: str) -> str:
    """Return what the judge found; empty if every promise was kept."""
    where = (f"--bootstrap={place.servers}", f"--run={run}")
    documents = f"--artifacts={place.home / 'artifacts'}"
    command = [sys.executable, "-m", "tests.chaos.judge", *where, documents]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr
