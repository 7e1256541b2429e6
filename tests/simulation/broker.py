"""A broker as the stages meet it: logs, a group, changelogs, and what is under way to them.

Nothing arrives at once. What a process has handed over arrives in order per partition, or is lost
from some record on when the process dies. The broker can be away for a while.
"""

import asyncio
import hashlib
import random
import zlib
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from faust.types import TP

from streams.partitions import partition_of
from streams.transport import Outgoing, Record

N_PARTITIONS = 2

# Compaction leaves alone what is younger, as the declared topics do.
COMPACTED_AFTER_S = 600.0

# A way that takes no time would let two things happen at once, in an order that no log shows.
_LEAST_S = 1e-5


class Written(NamedTuple):
    """A record of a changelog: its place for good, its key and value, and when it came."""

    offset: int
    key: bytes
    value: bytes
    at_s: float


class Trace:
    """What has happened, as a digest: one seed has one."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def note(self, *what: object) -> None:
        """Add one thing."""
        self._digest.update(repr(what).encode())

    def digest(self) -> str:
        """Return the digest of all that was noted."""
        return self._digest.hexdigest()


@dataclass(repr=False)
class Log:
    """What survives every process: records, progress of the group, changelogs."""

    records: dict[TP, list[Record]] = field(default_factory=dict)
    committed: dict[TP, int] = field(default_factory=dict)
    changelogs: dict[TP, list[Written]] = field(default_factory=dict)

    def copy(self) -> "Log":
        """Return a log that goes on by itself; the records are the same."""
        records = {tp: list(held) for tp, held in self.records.items()}
        changelogs = {tp: list(held) for tp, held in self.changelogs.items()}
        return Log(records, dict(self.committed), changelogs)


class Broker:
    """A log, the time that things take on their way to it, and who waits for it to grow.

    Parameters
    ----------
    log
        What is there already.
    draw
        Decides how long everything takes.
    """

    def __init__(self, log: Log, draw: random.Random) -> None:
        self.log, self.draw, self.trace = log, draw, Trace()
        self.back_s = self.grown_s = 0.0
        self._grown: defaultdict[TP, asyncio.Event] = defaultdict(asyncio.Event)

    def delay_s(self) -> float:
        """Draw how long something is under way: mostly milliseconds, and now and then a second."""
        longest_s = self.draw.choice((0.002, 0.002, 0.002, 0.02, 0.02, 1.0))
        return _LEAST_S + self.draw.random() * longest_s

    def leave(self, away_s: float) -> None:
        """Be away from now on, for so long at least."""
        self.back_s = max(self.back_s, asyncio.get_running_loop().time() + away_s)
        self.trace.note("away", self.back_s)

    def left_s(self) -> float:
        """Return how long the broker will be away yet."""
        return max(self.back_s - asyncio.get_running_loop().time(), 0.0)

    async def answer(self) -> None:
        """Wait as a question to the broker and its answer take."""
        await asyncio.sleep(self.delay_s())
        while left_s := self.left_s():  # noqa: ASYNC110  it is time that is asked for
            await asyncio.sleep(left_s + _LEAST_S)

    def append(self, one: Outgoing) -> int:
        """Put a record behind those of its partition."""
        tp = place_of(one)
        held = self.log.records.setdefault(tp, [])
        headers = list(one.headers or [])
        held.append(Record(tp.topic, tp.partition, len(held), one.key, one.value, headers))
        self._tell(tp, one.key, one.value, headers)
        return len(held) - 1

    def _tell(self, tp: TP, *what: object) -> None:
        self.grown_s = asyncio.get_running_loop().time()
        self.trace.note(self.grown_s, *tp, *what)
        self._grown[tp].set()

    async def grown(self, tp: TP, position: int) -> None:
        """Wait until a partition has a record at a position."""
        while len(self.log.records.get(tp, ())) <= position:
            self._grown[tp].clear()
            await self._grown[tp].wait()

    def write(self, tp: TP, key: bytes, value: bytes) -> int:
        """Put a state behind those of a changelog."""
        held = self.log.changelogs.setdefault(tp, [])
        offset = held[-1].offset + 1 if held else 0
        held.append(Written(offset, key, value, asyncio.get_running_loop().time()))
        self._tell(tp, key, zlib.crc32(value))
        return offset

    def compact(self) -> None:
        """Keep the last old record of each key, whatever its stamp says, and all that are young."""
        old_s = asyncio.get_running_loop().time() - COMPACTED_AFTER_S
        for tp, held in self.log.changelogs.items():
            last = {one.key: one.offset for one in held if one.at_s <= old_s}
            kept = [one for one in held if one.at_s > old_s or last[one.key] == one.offset]
            self.trace.note("compacted", *tp, len(held) - len(kept))
            held[:] = kept


def place_of(one: Outgoing) -> TP:
    """Return where a record goes: murmur2 of its key places it, if nobody has."""
    partition = one.partition
    if partition is None:
        partition = partition_of((one.key or b"").decode(), N_PARTITIONS)
    return TP(one.topic, partition)


Put = Callable[[], int]


class Connection:
    """A process's way to the broker: its records arrive in order per partition."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._under_way: defaultdict[TP, deque[tuple[Put, asyncio.Future[int]]]]
        self._under_way = defaultdict(deque)

    def send(self, tp: TP, put: Put) -> "asyncio.Future[int]":
        """Hand something over; the future is its offset, once the broker has said so."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._under_way[tp].append((put, future))
        loop.call_later(self._broker.delay_s(), self._arrive, tp)
        return future

    def _arrive(self, tp: TP) -> None:
        """Let the oldest arrive that is under way to a partition, if it was not lost."""
        loop = asyncio.get_running_loop()
        if left_s := self._broker.left_s():
            loop.call_later(left_s + _LEAST_S, self._arrive, tp)
        elif self._under_way[tp]:
            put, future = self._under_way[tp].popleft()
            loop.call_later(self._broker.delay_s(), _answer, future, put())

    def cut(self) -> None:
        """Lose what is under way from some record on: the process has died.

        While the broker is away it was in the memory of the process, all of it.
        """
        for under_way in self._under_way.values():
            least = len(under_way) if self._broker.left_s() else 0
            for _ in range(self._broker.draw.randint(least, len(under_way))):
                under_way.pop()


def _answer(future: "asyncio.Future[int]", offset: int) -> None:
    if not future.done():
        future.set_result(offset)
