"""Faults of load: a slow consumer, twice the ticks, kills while many symbols are decided."""

import asyncio
from dataclasses import replace

from models.features.catalogue import WARMUP_BARS
from streams import topics
from streams.clock import monotonic_s
from streams.sources.synthetic import SyntheticTape
from tests.chaos.campaign import Played, play, undisturbed_of, watched
from tests.chaos.faults import KILL, Place, Struck

# A consumer of one record a second holds what it has fetched; the broker and the worker do not.
_READ_EVERY_S = 1.0

# Twice as fast as bars of a second close. The tape of the campaigns takes some eight minutes so.
_BAR_EVERY_S = 0.5
# Behind by so many bars when the last one was sent, the chain would not keep up for ever.
_MOST_BEHIND_BARS = 12

# Fifty times the symbols of the other campaigns: a worker never waits for a tick.
_WIDE = SyntheticTape(symbols=400, bars=WARMUP_BARS + 147, ticks_per_bar=4, seed=5)
_KILLED_WIDE = KILL._replace(name="kill-wide", per_run=10)


async def kill_wide(place: Place, seed: int) -> Played:
    """Kill the worker at random moments while it decides on hundreds of symbols."""
    wide = replace(place, tape=_WIDE)
    wide.undisturbed = await undisturbed_of(wide)
    return await play(wide, _KILLED_WIDE, seed)


async def slow_consumer(place: Place, seed: int) -> Played:
    """Let somebody read one decision a second while the tape goes on."""

    async def send(struck: Struck) -> None:
        reading = asyncio.create_task(_read_slowly(struck))
        try:
            await struck.trial.feed()
        finally:
            reading.cancel()

    return await watched(place, f"slow-{seed}", seed, send)


async def _read_slowly(struck: Struck) -> None:
    async for _ in struck.trial.tail(topics.TRADING_DECISIONS.name):
        await asyncio.sleep(_READ_EVERY_S)


async def double_load(place: Place, seed: int) -> Played:
    """Send the tape twice as fast as its bars close, whatever the worker has done of it."""

    async def send(struck: Struck) -> None:
        trial, closes = struck.trial, place.tape.closes_ns()
        begun_s, behind = monotonic_s(), 0
        number = {close: n for n, close in enumerate(closes)}

        async def gate(close_ns: int) -> None:
            nonlocal behind
            trial.n_fed = number[close_ns]
            behind = trial.undecided()
            await asyncio.sleep(max(0.0, begun_s + trial.n_fed * _BAR_EVERY_S - monotonic_s()))

        await trial.pour(gate)
        await trial.decided(closes[-1])
        if behind > _MOST_BEHIND_BARS:
            struck.violations.append(f"{behind} bars behind at the end of twice the load")

    return await watched(place, f"double-{seed}", seed, send)
