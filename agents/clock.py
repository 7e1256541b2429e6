"""The one clock of a live run: ``wall time -> heartbeats in every partition of market-ticks``.

A heartbeat says that a bar boundary plus the allowed lateness has come. Its number is the boundary
counted in bars since 1970, so numbers go on without a gap over restarts, and a gap says for how
long no clock ran. ``rollout-stages`` is followed beside: a rollout that goes on, or back, is an
epoch from the bar that is open then, announced in every partition before that bar's heartbeat.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer

from models.rollout.stages import Rollout
from streams import metrics
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.errors import RecordError
from streams.sources.replay import Clock
from tables.rollout import read_stage_record

log = logging.getLogger("tradewind.clock")

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

# The epoch is said again now and then, so that its announcement never leaves the topic by age.
_ANNOUNCE_EVERY = 64

_POLL_MS = 100


class Announced(NamedTuple):
    """An epoch to decide by: its number, which only rises, and the digest of its document."""

    number: int
    digest: str


# The epoch that a rollout's standing leads to; None where it leads to no other.
Turn = Callable[[Rollout], Announced | None]


async def run_clock(
    clock: Clock,
    epoch: Epoch,
    *,
    number: int,
    digest: str,
    changes: "asyncio.Queue[Announced] | None" = None,
) -> None:
    """Announce the epoch from the bar that is open now on, then beat at every boundary.

    The epoch that was announced before under the same number stays as it is: a restarted clock
    announces it again, and the stages know it. One that comes by ``changes`` has the same grid and
    decides from the next close on.
    """
    lateness_ns = epoch.lateness_ms * _NS_PER_MS
    bar = (wall_ns() - lateness_ns) // epoch.timeframe_ns
    said = Announced(number, digest)
    waiting: asyncio.Queue[Announced] = asyncio.Queue() if changes is None else changes
    await clock.announce(*said, bar * epoch.timeframe_ns)
    log.info("epoch %d (%s) announced; bars of %s", number, digest[:12], epoch.timeframe)
    beats = 0
    while True:
        beats += 1
        if beats % _ANNOUNCE_EVERY == 0:
            await clock.announce(*said, bar * epoch.timeframe_ns)
        due_ns = bar * epoch.timeframe_ns + lateness_ns
        while (next_ := await _changed_before(due_ns, waiting)) is not None:
            said = next_
            # What closes behind the boundary before: the bar whose heartbeat comes next.
            await clock.announce(*said, (bar - 1) * epoch.timeframe_ns)
            log.info("epoch %d (%s) announced: a rollout changed", said.number, said.digest[:12])
        await clock.beat(due_ns, n=bar, meant_ns=due_ns)
        now = (wall_ns() - lateness_ns) // epoch.timeframe_ns
        if now > bar + 1:
            log.warning("the clock woke %d bars late; it goes on at the present one", now - bar - 1)
        bar = max(bar + 1, now)


async def _changed_before(due_ns: int, changes: "asyncio.Queue[Announced]") -> Announced | None:
    """Wait for a change until a time has come; None if none came."""
    # Neither `wait_for` around `get`, which can lose what it got, nor a task that stays behind.
    try:
        return changes.get_nowait()
    except asyncio.QueueEmpty:
        pass
    left_s = (due_ns - wall_ns()) / _NS_PER_S
    if left_s <= 0.0:
        return None
    getting = asyncio.ensure_future(changes.get())
    try:
        await asyncio.wait({getting}, timeout=left_s)
    finally:
        if not getting.done():
            getting.cancel()
    return getting.result() if getting.done() and not getting.cancelled() else None


async def follow(
    consumer: AIOKafkaConsumer, turn: Turn, changes: "asyncio.Queue[Announced]"
) -> None:
    """Turn what ``rollout-stages`` says into epochs, until cancelled.

    A record that cannot be used is counted and passed: time must go on whatever stands there.
    """
    while True:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for next_ in turns(fetched, turn):
            await changes.put(next_)


def turns(fetched: Mapping[Any, Sequence[Any]], turn: Turn) -> list[Announced]:
    """Return the epochs that fetched records lead to."""
    found = []
    for record in (record for records in fetched.values() for record in records):
        try:
            said = read_stage_record(record.value or b"")
        except RecordError as error:
            metrics.DEAD_LETTERS.labels("clock", error.reason).inc()
            log.warning("record %d of %s cannot be used: %s", record.offset, record.topic, error)
            continue
        next_ = turn(said) if isinstance(said, Rollout) else None
        if next_ is not None:
            found.append(next_)
    return found
