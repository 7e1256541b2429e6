"""Faults of load: a consumer that hardly reads, and ticks twice as fast as their own clock."""

import asyncio

from streams import topics
from streams.clock import monotonic_s
from tests.chaos.campaign import Played, watched
from tests.chaos.faults import Place, Struck

# A consumer of one record a second holds what it has fetched; the broker and the worker do not.
_READ_EVERY_S = 1.0

# Twice as fast as bars of a second close. The tape of the campaigns takes some eight minutes so.
_BAR_EVERY_S = 0.5
# Behind by so many bars when the last one was sent, the chain would not keep up for ever.
_MOST_BEHIND_BARS = 12


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
