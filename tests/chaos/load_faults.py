"""Faults of load: a slow consumer, twice the load, kills while many symbols are decided."""

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

# Bars of a second, twice as fast as they close: twice the load of chain-latency-loaded, which is
# 10,000 ticks and 200 symbols a second. Ten minutes of it when the symbols are warm.
_BAR_EVERY_S = 0.5
_DOUBLE = SyntheticTape(symbols=200, bars=WARMUP_BARS + 1_200, ticks_per_bar=50, seed=5)
# Behind by more bars, the chain would not keep up for ever.
_MOST_BEHIND_BARS = 12
# A feed that ends later than so has not sent twice the load.
_MOST_LATE_S = 5.0

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
    """Send hundreds of symbols twice as fast as their bars close, whatever the worker has done."""
    closes = _DOUBLE.closes_ns()
    number = {close: n for n, close in enumerate(closes)}
    wide = replace(place, tape=_DOUBLE)
    wide.undisturbed = await undisturbed_of(wide)

    async def send(struck: Struck) -> None:
        trial, most_behind, begun_s = struck.trial, 0, monotonic_s()

        async def gate(close_ns: int) -> None:
            nonlocal most_behind
            trial.n_fed = number[close_ns]
            most_behind = max(most_behind, trial.undecided())
            await asyncio.sleep(max(0.0, begun_s + trial.n_fed * _BAR_EVERY_S - monotonic_s()))

        await trial.pour(gate)
        late_s = monotonic_s() - begun_s - len(closes) * _BAR_EVERY_S
        await trial.decided(closes[-1])
        if most_behind > _MOST_BEHIND_BARS:
            struck.violations.append(f"{most_behind} bars behind under twice the load")
        if late_s > _MOST_LATE_S:
            struck.violations.append(f"the feed was {late_s:.0f} s late: less than twice the load")

    return await watched(wide, f"double-{seed}", seed, send)
