"""A range of a run's topic: chosen by time or offset, and read in the order of its heartbeats."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.run.survey import Seen
from agents.run.topic_log import reading, records
from models.features.catalogue import WARMUP_BARS
from streams.errors import TopicError
from streams.records import ClockRecord, EpochNotice
from streams.slices import Slice
from streams.sources.replay import CLOCK_HEADER
from streams.timestamps import format_ns, parse_ns
from streams.transport import Record

_CLOCK_RECORD = msgspec.json.Decoder(ClockRecord)
_JSON = msgspec.json.Encoder()


class Range(NamedTuple):
    """A range of a topic.

    Attributes
    ----------
    begins, ends
        First offset of each partition, and the one behind the last.
    notices
        Epochs that were announced before it and may still decide.
    from_ns, last_ns
        First close that counts, and last one.
    n_bars
        Closes that are folded: bars before the first that counts warm features up.
    is_whole
        Whether it begins where the run began.
    remarks
        What a person should know of the topic.
    """

    topic: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    notices: tuple[EpochNotice, ...]
    digests: tuple[str, ...]
    from_ns: int
    last_ns: int
    n_bars: int
    is_whole: bool
    remarks: tuple[str, ...]


class Middle(NamedTuple):
    """A close behind which a range counts; what stands before it says where the books stood.

    Attributes
    ----------
    close_ns
        The close.
    begins
        First offset of each partition behind the heartbeat that said it.
    from_ns, n_bars
        The first close behind it, and how many there are.
    """

    close_ns: int
    begins: tuple[int, ...]
    from_ns: int
    n_bars: int


def middle(topic: str, seen: list[Seen], from_ns: int, last_ns: int) -> Middle | None:
    """Return the last close before ``from_ns``; None if the first of all is not before it.

    The same heartbeat must have said it to every partition: behind it they go on side by side.

    Raises
    ------
    TopicError
        If a partition is read from behind that heartbeat on, or if no close is behind it.
    """
    closes = {close for each in seen for close in each.closes if close <= last_ns}
    behind = [close for close in closes if close >= from_ns]
    if not behind:
        times = f"{format_ns(from_ns)} to {format_ns(last_ns)}"
        raise TopicError(f"{topic} has no bar from {times}, where it ends or was asked to")
    before = max(closes.difference(behind), default=None)
    if before is None:
        return None
    for number, each in enumerate(seen):
        if before not in each.closes:
            raise TopicError(
                f"{topic}, partition {number}, is read from offset {each.begin:,} on, which is "
                f"behind the close of {format_ns(before)}"
            )
    begins = tuple(each.offset_of(before) + 1 for each in seen)
    return Middle(before, begins, min(behind), len(behind))


def chosen(topic: str, seen: list[Seen], begin: str | None, end: str | None) -> Range:
    """Return the range from ``begin`` to ``end``: a time (RFC 3339), an offset, or None for all.

    It begins and ends with heartbeats that all partitions have: an offset is that of the first one
    behind it in each of them. Before a time go the bars that warm features up.

    Raises
    ------
    TopicError
        If it has no bar, or no epoch is announced before it; the message says what there is.
    """
    closes = _ended(seen, end)
    first = _first(seen, closes, begin)
    from_ns = parse_ns(begin) if begin and not begin.isdecimal() else 0
    # The first heartbeat of a part finds no bar that it could close.
    counted = [c for c in closes if c >= from_ns and (first is None or c > first)]
    if not counted:
        raise _no_bar(topic, seen, begin, end)
    begins = [each.begin if first is None else each.offset_of(first) for each in seen]
    folded = [c for c in closes if first is None or c >= first]
    notices = {n.epoch: n for at, n in seen[0].notices if at < begins[0]}
    return Range(
        topic=topic,
        begins=tuple(begins),
        ends=tuple(each.offset_of(closes[-1]) + 1 for each in seen),
        notices=tuple(notices[number] for number in sorted(notices)),
        digests=tuple(sorted({digest for each in seen for digest in each.digests})),
        from_ns=counted[0],
        last_ns=closes[-1],
        n_bars=len(folded),
        is_whole=first is None,
        remarks=(*_deleted(topic, seen), *_odd(topic, seen)),
    )


def after(topic: str, seen: list[Seen], begins: list[int], end: str | None) -> Range:
    """Return the range from where a checkpoint stands to ``end``, as :func:`chosen` takes it.

    Raises
    ------
    TopicError
        If what the checkpoint goes on with is gone, or if no bar has come since.
    """
    first = [each.begin for each in seen]
    if any(have > wanted for have, wanted in zip(first, begins, strict=True)):
        raise TopicError(
            f"{topic} begins at offsets {', '.join(map(str, first))}; the checkpoint goes on at "
            f"{', '.join(map(str, begins))}"
        )
    closes = _ended(seen, end)
    if not closes:
        raise _no_bar(topic, seen, None, end)
    folded = sorted({c for each in seen for c in each.closes if c <= closes[-1]})
    return Range(
        topic=topic,
        begins=tuple(first),
        ends=tuple(each.offset_of(closes[-1]) + 1 for each in seen),
        notices=(),
        digests=tuple(sorted({digest for each in seen for digest in each.digests})),
        from_ns=folded[0],
        last_ns=closes[-1],
        n_bars=len(folded),
        is_whole=False,
        remarks=tuple(_odd(topic, seen)),
    )


def _ended(seen: list[Seen], end: str | None) -> list[int]:
    """Return the closes that all partitions have, up to a time or an offset, in order."""
    common = set(seen[0].closes).intersection(*(each.closes for each in seen[1:]))
    if end is None:
        return sorted(common)
    if end.isdecimal():
        return sorted(c for c in common if all(each.offset_of(c) < int(end) for each in seen))
    to_ns = parse_ns(end)
    return sorted(c for c in common if c <= to_ns)


def _first(seen: list[Seen], closes: list[int], asked: str | None) -> int | None:
    """Return the close whose heartbeat begins the range; None for the run's first record."""
    is_there = all(each.begin == 0 for each in seen)
    if asked is not None and asked.isdecimal():
        least = int(asked)
        if is_there and least == 0:
            return None
        behind = (c for c in closes if all(each.offset_of(c) >= least for each in seen))
        return next(behind, max(closes, default=0))
    from_ns = parse_ns(asked) if asked else 0
    before = [c for c in closes if c < from_ns]
    if len(before) >= WARMUP_BARS:
        return before[-WARMUP_BARS]
    return None if is_there else min(closes, default=0)


def _no_bar(topic: str, seen: list[Seen], begin: str | None, end: str | None) -> TopicError:
    closes = sorted({close for each in seen for close in each.closes})
    times = f"from {format_ns(closes[0])} to {format_ns(closes[-1])}" if closes else "none"
    offsets = ", ".join(f"{p}: {each.begin}..{each.end}" for p, each in enumerate(seen))
    return TopicError(
        f"{topic} has no bar from {begin or 'its first'} to {end or 'its last'}; its closes: "
        f"{times}; its offsets by partition: {offsets}"
        + "".join(f"; {each}" for each in _deleted(topic, seen))
    )


def _deleted(topic: str, seen: list[Seen]) -> Iterator[str]:
    deleted = [each.begin for each in seen]
    if any(deleted):
        offsets = ", ".join(map(str, deleted))
        yield f"{topic} begins at offsets {offsets}: what came before was deleted"


def _odd(topic: str, seen: list[Seen]) -> Iterator[str]:
    for what, n in (
        ("offsets without a record", sum(each.n_missing for each in seen)),
        ("heartbeats that the clock left out", sum(each.n_beats_missed for each in seen)),
        ("records of another version, or of none", sum(each.n_strange for each in seen)),
    ):
        if n:
            yield f"{topic} has {n:,} {what}"


Translate = Callable[[str], str]


async def ticks_of(
    servers: str, range_: Range, translate: Translate
) -> AsyncGenerator[Record, None]:
    """Yield the range of ``market-ticks``, partitions in turn from heartbeat to heartbeat.

    ``translate`` gives the digest of the epoch that decides instead of one announced.
    """
    # Each of them stood before the range, so there are offsets for all.
    for offset, notice in enumerate(range_.notices):
        for partition in range(len(range_.begins)):
            record = Record(range_.topic, partition, offset, None, None, [])
            yield _announcing(record, notice, translate)
    async with AsyncExitStack() as stack:
        waiting = [await _open(stack, servers, range_, p) for p in range(len(range_.begins))]
        while waiting:
            for said in list(waiting):
                async for record in said:
                    is_clock = record.header(CLOCK_HEADER) is not None
                    yield _translated(record, translate) if is_clock else record
                    if is_clock:
                        break
                else:
                    waiting.remove(said)


async def bars_of(servers: str, range_: Range, translate: Translate) -> AsyncIterator[Slice]:
    """Yield the range of ``market-bars``, partitions in turn, slice by slice."""
    async with AsyncExitStack() as stack:
        waiting = [await _open(stack, servers, range_, p) for p in range(len(range_.begins))]
        while waiting:
            for said in list(waiting):
                async for record in said:
                    slice_ = Slice.decode(record.value or b"")
                    digest = translate(slice_.meta.epoch_digest)
                    meta = msgspec.structs.replace(slice_.meta, epoch_digest=digest)
                    yield Slice(meta, slice_.batch)
                    break
                else:
                    waiting.remove(said)


async def _open(
    stack: AsyncExitStack, servers: str, range_: Range, partition: int
) -> AsyncIterator[Record]:
    consumer = await stack.enter_async_context(reading(servers))
    place = TopicPartition(range_.topic, partition)
    return until(consumer, place, range_.begins[partition], range_.ends[partition])


async def until(
    consumer: AIOKafkaConsumer, place: TopicPartition, begin: int, end: int
) -> AsyncIterator[Record]:
    """Yield the records of a partition from one offset up to another.

    Raises
    ------
    TopicError
        If the first of them was deleted meanwhile: what is folded without it is something else.
    """
    first = (await consumer.beginning_offsets([place]))[place]
    if first > begin:
        raise TopicError(
            f"{place.topic}, partition {place.partition}, begins at offset {first}, was to be read "
            f"from {begin}"
        )
    async for said in records(consumer, place, begin):
        if said.offset >= end:
            return
        yield Record(
            said.topic, said.partition, said.offset, said.key, said.value, list(said.headers)
        )


def _translated(record: Record, translate: Translate) -> Record:
    try:
        spoken = _CLOCK_RECORD.decode(record.value or b"")
    except msgspec.MsgspecError:
        return record  # the fold makes it a dead letter
    return _announcing(record, spoken, translate) if isinstance(spoken, EpochNotice) else record


def _announcing(record: Record, notice: EpochNotice, translate: Translate) -> Record:
    said = msgspec.structs.replace(notice, digest=translate(notice.digest))
    return record._replace(value=_JSON.encode(said), headers=[(CLOCK_HEADER, b"1")])
