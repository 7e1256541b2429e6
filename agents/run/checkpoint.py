"""A run's checkpoint, taken from what its workers keep: they are not asked, and no tick is folded.

A stage writes its snapshot behind what it has sent. So ``market-bars``, read after the snapshots,
holds every slice that the one of the bars has closed, and the stages of a symbol, folded from their
own snapshots to the end of that topic, miss none. An account goes on from the group's progress in
its log, as a worker does.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.run.in_process import InProcess, Said
from agents.run.snapshots import progress, snapshots
from agents.run.topic_log import partitions, reading, records
from agents.signals import SPECS, SignalsKept
from agents.slice_stage import last_key
from agents.topology import CHAIN, prefix_of
from streams.codec import StateError, unpack_state
from streams.errors import RecordError, TopicError
from streams.slices import Slice
from streams.topics import MARKET_BARS, MARKET_TICKS, PORTFOLIO_EVENTS
from tables.bars import BarsKept
from tables.book import decode_account
from tables.checkpoint import Checkpoint, States, place, plain
from tables.epochs import Epochs
from tables.stamped import Stamped
from tables.stores.artifacts import Artifacts
from tables.stores.run_checkpoints import RunCheckpoints

_DAY_NS = 86_400 * 10**9


def make(home: Path, servers: str, run: str) -> tuple[Checkpoint, list[int]]:
    """Keep where a run stands, delete what serves nothing any more; return it and the deleted.

    Raises
    ------
    TopicError
        If the run has decided nothing yet, or a topic lacks what the snapshots go on with.
    StateError
        If a table holds another version's states.
    """
    made, begins = asyncio.run(_made(servers, run, Epochs(Artifacts(home / "artifacts"))))
    kept = RunCheckpoints(home, run)
    kept.keep(made)
    return made, thinned(kept, begins)


async def _made(servers: str, run: str, epochs: Epochs) -> tuple[Checkpoint, dict[str, list[int]]]:
    async with reading(servers) as consumer:
        begins = {
            spec.name: await _first_kept(consumer, servers, prefix_of(run) + spec.name)
            for spec in (MARKET_TICKS, MARKET_BARS, PORTFOLIO_EVENTS)
        }
        made = await taken(consumer, servers, run, epochs)
    book = begins[PORTFOLIO_EVENTS.name]
    if not _reach(book, made.book):
        raise TopicError(
            f"{prefix_of(run)}{PORTFOLIO_EVENTS.name} begins at offsets {book}; the workers' group "
            f"goes on at {made.book}, 0 where it says nothing: expected one that has lost nothing"
        )
    return made, begins


async def _first_kept(consumer: AIOKafkaConsumer, servers: str, topic: str) -> list[int]:
    places = await partitions(servers, topic)
    if not places:
        raise TopicError(f"there is no topic {topic} at {servers}; expected one of a run")
    first = await consumer.beginning_offsets(places)
    return [int(first[place]) for place in places]


async def taken(consumer: AIOKafkaConsumer, servers: str, run: str, epochs: Epochs) -> Checkpoint:
    """Return where a run stands, of its own snapshots; raises as :func:`make`."""
    books = await partitions(servers, prefix_of(run) + PORTFOLIO_EVENTS.name)
    numbers = range(len(books))
    # Progress first: the snapshots read after it are of then or later.
    book = await progress(servers, run, books)
    found = {
        stage: [await snapshots(consumer, run, stage, number) for number in numbers]
        for stage in CHAIN
    }
    states: dict[str, States] = {}
    for number in numbers:
        states[place("bars", number)] = plain(found["bars"][number])
        states[place("risk", number)] = plain(found["risk"][number])
        states |= _of_signals(found["signals"][number], number)
    opened = [kept.get(b"open") for kept in found["bars"]]
    bars = [
        min((stamped.next_offset for stamped in kept.values()), default=0)
        for kept in found["signals"]
    ]
    begin = Checkpoint(
        close_ns=0,
        digests=sorted({digest for one in opened if one is not None for digest in _digests(one)}),
        ticks=[0 if one is None else one.next_offset for one in opened],
        bars=bars,
        book=book,
        slices=[{} for _ in numbers],
        states=states,
    )
    made = await _followed(consumer, run, epochs, begin)
    times = [key[0] for kept in made.slices for key in kept.values()]
    for kept in found["risk"]:
        for stamped in kept.values():
            account = decode_account(stamped.state)
            times += [account.decided[0], account.kept.now_ns]
    if not times:
        raise TopicError(
            f"{prefix_of(run)}{MARKET_BARS.name} has no bar yet; expected one at least"
        )
    return made._replace(close_ns=max(times))


def _of_signals(kept: dict[bytes, Stamped], number: int) -> dict[str, States]:
    """Return the four stages' own states of a partition; longer bars decide nothing."""
    parts = {
        key: (stamped.next_offset, unpack_state(SignalsKept, stamped.state))
        for key, stamped in kept.items()
        if key.isdigit()
    }
    return {
        place(spec.name, number): {
            key.decode(): (offset, getattr(each, spec.name))
            for key, (offset, each) in parts.items()
        }
        for spec in SPECS
    }


def _digests(opened: Stamped) -> list[str]:
    return [notice.digest for notice in BarsKept.decode(opened.state).epochs]


async def _followed(
    consumer: AIOKafkaConsumer, run: str, epochs: Epochs, begin: Checkpoint
) -> Checkpoint:
    """Let the stages of a symbol fold the bars that came behind their snapshots."""
    chain = InProcess(epochs, len(begin.bars), _passed, begin=begin)
    topic = prefix_of(run) + MARKET_BARS.name
    states, ends, slices = dict(begin.states), list(begin.bars), []
    for number, first in enumerate(begin.bars):
        at = TopicPartition(topic, number)
        kept_from = (await consumer.beginning_offsets([at]))[at]
        if kept_from > first:
            raise TopicError(
                f"{topic}, partition {number}, is kept from offset {kept_from:,} on; the stages' "
                f"snapshots go on at {first:,}: the workers stood still for too long"
            )
        async for said in records(consumer, at, first):
            ends[number] = said.offset + 1
            try:
                slice_ = Slice.decode(said.value or b"")
            except RecordError:
                continue  # a dead letter of the worker's
            for _ in chain.bar(slice_):
                pass
        for stage, changed in chain.snapshots(number).items():
            name = place(stage, number)
            states[name] = states.get(name, {}) | plain(changed)
        last = states[place(SPECS[-1].name, number)]
        slices.append({int(key): last_key(state) for key, (_, state) in last.items()})
    return begin._replace(bars=ends, slices=slices, states=states)


def _passed(_slice: Slice) -> Iterator[Said]:
    return iter(())


def thinned(kept: RunCheckpoints, begins: dict[str, list[int]]) -> list[int]:
    """Delete what nothing is left to fold behind; of a day whose ticks are gone the first stays.

    A book alone can still go on from it, for as long as its log is kept.
    """
    dropped: list[int] = []
    days: set[int] = set()
    for close_ns in sorted(kept.closes_ns()):
        try:
            each = kept.load(close_ns)
        except StateError:
            kept.drop(close_ns)
            dropped.append(close_ns)
            continue
        has_ticks = _reach(begins[MARKET_TICKS.name], each.ticks)
        has_bars = _reach(begins[MARKET_BARS.name], each.bars)
        is_first = close_ns // _DAY_NS not in days
        has_book = _reach(begins[PORTFOLIO_EVENTS.name], each.book)
        days.add(close_ns // _DAY_NS)
        if not (has_book and (has_ticks or has_bars or is_first)):
            kept.drop(close_ns)
            dropped.append(close_ns)
    return dropped


def _reach(begins: list[int], wanted: list[int]) -> bool:
    is_of = len(begins) == len(wanted)
    return is_of and all(begin <= each for begin, each in zip(begins, wanted, strict=True))
