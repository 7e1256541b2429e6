"""Campaigns: faults played on runs of their own until there are enough, each run judged at its end.

A run is judged twice: by comparing every byte that it said with a run to which nothing happened,
and by the verification of the account. Seeds are printed, and a campaign with the same seed plays
the same plan; what the processes make of it is theirs.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.sources.synthetic import SyntheticTape
from tests.chaos.faults import Fault, Struck, die_at
from tests.runs import TAPE, Outcome, trial

# Bars at the ends of a tape at which nothing is done: a run shall begin, and be able to end.
_BEFORE, _BEHIND = 30, 5


@dataclass(frozen=True)
class Place:
    """Where campaigns are played, and what a run says when nothing happens to it."""

    servers: str
    home: Path
    models: str
    undisturbed: Outcome
    tape: SyntheticTape = TAPE


@dataclass
class Played:
    """What became of a campaign."""

    n_runs: int = 0
    n_strikes: int = 0
    n_repeats: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    endings_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, struck: Struck, n_repeats: int) -> None:
        """Add a run."""
        self.n_runs += 1
        self.n_strikes += struck.n_strikes
        self.n_repeats += n_repeats
        self.recoveries_s += struck.recoveries_s
        self.endings_s += struck.endings_s
        self.violations += struck.violations


async def play(place: Place, fault: Fault, n: int, seed: int) -> Played:
    """Play ``n`` strikes of a fault, as many to a run as it can take."""
    draw, played = random.Random(seed), Played()  # noqa: S311  a seeded experiment
    while played.n_strikes < n:
        count = min(fault.per_run, n - played.n_strikes)
        bars = range(_BEFORE, len(place.tape.closes_ns()) - _BEHIND)
        moments = sorted(draw.sample(bars, count))
        name = f"{fault.strike.__name__}-{seed}-{played.n_runs}"

        async def run(struck: Struck, moments: Sequence[int] = moments) -> None:
            async def strike(_: object) -> None:
                await fault.strike(struck)
                struck.n_strikes += 1

            struck.trial.start()
            await struck.trial.feed(dict.fromkeys(moments, strike))

        await _judged(place, name, draw, run, played)
    return played


async def die(place: Place, deaths: Sequence[tuple[str, str, int]], seed: int) -> Played:
    """Let the worker die at one failpoint after the other while the tape goes on."""
    draw, played = random.Random(seed), Played()  # noqa: S311  a seeded experiment
    name = f"die-{seed}"

    async def run(struck: Struck) -> None:
        async def lives() -> None:
            for stage, point, times in deaths:
                await die_at(struck, stage, point, times)
            struck.trial.start()

        feeding = asyncio.create_task(struck.trial.feed())
        try:
            await lives()
        except AssertionError as error:
            struck.violations.append(str(error))
            struck.trial.start()
        await feeding

    await _judged(place, name, draw, run, played)
    return played


async def _judged(
    place: Place,
    name: str,
    draw: random.Random,
    run: Callable[[Struck], Awaitable[None]],
    played: Played,
) -> None:
    async with trial(place.servers, place.home, place.models, name, tape=place.tape) as alone:
        struck = Struck(alone, draw)
        await run(struck)
        await asyncio.gather(*struck.watching)
        outcome = await alone.outcome()
        if differs := outcome.differs(place.undisturbed):
            struck.violations.append(f"{name}: {differs}")
        findings = alone.findings()["main"]
        if not findings.holds():
            struck.violations.append(f"{name}: {findings}")
        played.add(struck, outcome.n_repeats)
