"""A replay that was interrupted: what it was to send, and how much of that is there already.

What is sent to a partition is a function of the source alone, and a partition keeps its order. So
as many records as stand there are the first ones, and the replay goes on behind them.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agents.run.drive import Run
from agents.run.spoken_records import slice_in
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_log import partitions, reading, records
from agents.topology import prefix_of
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from streams.sources.replay import ticks_topic
from streams.topics import PORTFOLIO_EVENTS
from tables.stores.replacing import replacing


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a replay sends: a range of a run's topic, its epochs, and into how many partitions.

    ``after_ns`` is the close behind which its decisions count, ``book`` how its books begin.
    """

    topic: str
    begins: list[int]
    ends: list[int]
    last_ns: int
    book_ends: list[int]
    epochs: list[str]
    n_partitions: int
    after_ns: int
    book: str

    @classmethod
    def of(cls, source: TopicBacktest, n_partitions: int) -> "Plan":
        """Return what a checked range sends."""
        counted = source.counted
        return cls(
            prefix_of(source.run_name) + source.topic,
            list(counted.begins),
            list(counted.ends),
            counted.last_ns,
            source.book_ends,
            sorted(source.digests.values()),
            n_partitions,
            source.after_ns,
            source.book,
        )


@dataclass(slots=True)
class Sent:
    """How many records are there: of ticks by partition, of people and venues by key."""

    ticks: Counter[int] = field(default_factory=Counter)
    people: Counter[bytes | None] = field(default_factory=Counter)

    def holds_tick(self, partition: int) -> bool:
        """Tell whether the next record of a partition of ticks is there already."""
        return _take(self.ticks, partition)

    def holds_word(self, key: bytes | None) -> bool:
        """Tell whether the next record of people or venues under a key is there already."""
        return _take(self.people, key)


def _take(left: Counter[Any], key: object) -> bool:
    is_there = left[key] > 0
    left[key] -= is_there
    return is_there


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keep every other replay from a run's name.

    Raises
    ------
    SettingsError
        If one is under way.
    """
    folder = run.data.parent
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock.try_take(folder / f"{run.name}.lock")
    if lock is None:
        raise SettingsError(f"another replay into run {run.name} is under way")
    with lock:
        yield


def hold(source: TopicBacktest, run: Run) -> bool:
    """Write down what is sent into a run; where it was begun, hold the source to what was written.

    Returns
    -------
    bool
        Whether it was begun.

    Raises
    ------
    SettingsError
        If the run was begun with something else, or by something else.
    """
    path = run.data / "replay.json"
    wanted = Plan.of(source, run.epoch.n_partitions)
    if not asyncio.run(partitions(run.bootstrap_servers, ticks_topic(run.prefix))):
        # Tables of topics that were deleted are of no use to those that come.
        shutil.rmtree(run.data, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(msgspec.json.encode(wanted))
        return False
    if not path.exists():
        raise SettingsError(f"run {run.name} is there, and is no replay; take another name")
    begun = _read(path)
    # A live topic has grown since.
    now = msgspec.structs.replace(
        wanted, ends=begun.ends, last_ns=begun.last_ns, book_ends=begun.book_ends
    )
    if now != begun or any(end < was for end, was in zip(wanted.ends, begun.ends, strict=True)):
        raise SettingsError(
            f"run {run.name} was begun with {_shown(begun)}; this is {_shown(wanted)}: repeat the "
            "command that began it, or take another name"
        )
    source.range = source.range._replace(ends=tuple(begun.ends), last_ns=begun.last_ns)
    source.book_ends = begun.book_ends
    return True


def _read(path: Path) -> Plan:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} says of no replay what it sends: {error}") from error


def _shown(plan: Plan) -> str:
    offsets = ", ".join(f"{a}..{b}" for a, b in zip(plan.begins, plan.ends, strict=True))
    epochs = ", ".join(digest[:12] for digest in plan.epochs)
    what = f"{plan.topic} {offsets} by {epochs} in {plan.n_partitions} partitions"
    return f"{what} and a {plan.book} book"


async def sent(run: Run) -> Sent:
    """Return what of a run's input is there; nothing where it has no topics."""
    found, servers = Sent(), run.bootstrap_servers
    async with reading(servers) as consumer:
        for place in await partitions(servers, ticks_topic(run.prefix)):
            found.ticks[place.partition] = (await consumer.end_offsets([place]))[place]
        for place in await partitions(servers, run.prefix + PORTFOLIO_EVENTS.name):
            async for record in records(consumer, place):
                if slice_in(record.value or b"") is None:
                    found.people[record.key] += 1
    return found
