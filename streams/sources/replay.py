"""Replaying a tape: the replayer is the one clock of its run.

Before an interval's ticks a heartbeat says that the interval has begun, after them one says that it
has ended; so time passes over gaps as it does live, and the same tape gives the same log whatever
the speed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from streams.clock import wall_ns
from streams.partitions import partition_of
from streams.records import EpochNotice, Heartbeat
from streams.sources.tape import Interval, Tape
from streams.timestamps import TIMEFRAMES_NS
from streams.topics import MARKET_TICKS

CLOCK_HEADER = "clock"
ORIGIN_HEADER = "origin-ns"
TRACE_HEADER = "traceparent"

_NS_PER_MS = 1_000_000
_JSON = msgspec.json.Encoder()

# Ticks of one list record; a list of 500 trades is about 40 kB of JSON.
_LIST_TICKS = 500


@dataclass(slots=True)
class Clock:
    """The one clock: numbers its heartbeats and sends each to every partition.

    Parameters
    ----------
    producer, topic, n_partitions
        Where ``market-ticks`` of the run is.
    clock_id
        The id that the epoch names.
    traced
        Gives the trace context that goes along with a heartbeat; None to do without.
    """

    producer: AIOKafkaProducer
    topic: str
    n_partitions: int
    clock_id: str
    n: int = 0
    traced: Callable[[], str] | None = None

    async def announce(self, epoch: int, digest: str, from_close_ns: int) -> None:
        """Announce an epoch to every partition, before the heartbeat that reaches it."""
        notice = EpochNotice(
            clock_id=self.clock_id, epoch=epoch, digest=digest, from_close_ns=from_close_ns
        )
        await self._broadcast(_JSON.encode(notice), wall_ns())

    async def beat(
        self, ts_event_ns: int, *, n: int | None = None, meant_ns: int | None = None
    ) -> None:
        """Say that ``ts_event_ns`` has come.

        ``n`` is the heartbeat's number, by default the next one; ``meant_ns`` is when this should
        have been sent, by default now.
        """
        number = self.n if n is None else n
        beat = Heartbeat(clock_id=self.clock_id, n=number, ts_event_ns=ts_event_ns)
        self.n = number + 1
        await self._broadcast(_JSON.encode(beat), wall_ns() if meant_ns is None else meant_ns)

    async def _broadcast(self, value: bytes, meant_ns: int) -> None:
        headers = [(CLOCK_HEADER, b"1"), (ORIGIN_HEADER, str(meant_ns).encode())]
        if self.traced is not None:
            headers.append((TRACE_HEADER, self.traced().encode()))
        sent = [
            await self.producer.send(self.topic, value, partition=partition, headers=headers)
            for partition in range(self.n_partitions)
        ]
        await asyncio.gather(*sent)


Gate = Callable[[int], Awaitable[None]]


class Stretch(NamedTuple):
    """The part of a tape to replay: first and last close, both included."""

    first_close_ns: int
    last_close_ns: int


class Timed(NamedTuple):
    """An interval, and the times that come before and behind it; None where the first has come."""

    begins_ns: int | None
    interval: Interval
    ends_ns: int


def timed(tape: Tape, stretch: Stretch, lateness_ms: int) -> Iterator[Timed]:
    """Yield a stretch of the tape with the heartbeats of its replay: the log, whoever writes it."""
    lateness_ns = lateness_ms * _NS_PER_MS
    timeframe_ns = TIMEFRAMES_NS[tape.timeframe]
    now_ns = -1
    for interval in tape.intervals(*stretch):
        begins_ns = interval.close_ns - timeframe_ns + lateness_ns
        ends_ns = interval.close_ns + lateness_ns
        yield Timed(begins_ns if begins_ns > now_ns else None, interval, ends_ns)
        now_ns = ends_ns


async def replay(
    tape: Tape,
    clock: Clock,
    stretch: Stretch,
    *,
    lateness_ms: int,
    gate: Gate,
    sent: Callable[[Interval], None],
) -> None:
    """Send a stretch of the tape and move time along.

    Parameters
    ----------
    gate
        Awaited with each interval's close before it is sent: how a replay at full speed keeps from
        running away from the stages.
    sent
        Called with each interval once it is on the broker.
    """
    for begins_ns, interval, ends_ns in timed(tape, stretch, lateness_ms):
        await gate(interval.close_ns)
        if begins_ns is not None:
            await clock.beat(begins_ns)
        await _send(clock, interval)
        await clock.beat(ends_ns)
        sent(interval)


async def _send(clock: Clock, interval: Interval) -> None:
    pending = []
    for symbol, ticks in interval.ticks.items():
        partition = partition_of(symbol, clock.n_partitions)
        for start in range(0, len(ticks), _LIST_TICKS):
            value = _JSON.encode(ticks[start : start + _LIST_TICKS])
            pending.append(
                await clock.producer.send(
                    clock.topic, value, key=symbol.encode(), partition=partition
                )
            )
    await asyncio.gather(*pending)


def ticks_topic(prefix: str) -> str:
    """Return the name of a run's ``market-ticks``."""
    return prefix + MARKET_TICKS.name
