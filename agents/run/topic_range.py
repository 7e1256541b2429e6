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
    begins = []
    for number, each in enumerate(seen):
        if before not in each.closes:
            raise TopicError(
                f"{topic}, partition {number}, is read from offset {each.begin:,} on, which is "
                f"behind the close of {format_ns(before)}"
            )
        begins.append(each.offsets[each.closes.index(before)] + 1)
    return Middle(before, tuple(begins), min(behind), len(behind))


def chosen(topic: str, seen: list[Seen], begin: str | None, end: str | None) -> Range:
    """Return the range from ``begin`` to ``end``: a time (RFC 3339), an offset, or None for all.

    An offset holds in every partition. Before a time go the bars that warm features up.

    Raises
    ------
    TopicError
        If it has no bar, or no epoch is announced before it; the message says what there is.
    """
    begins = [_begin(each, begin) for each in seen]
    ends = [_end(each, end) for each in seen]
    folded = sorted(
        {
            close
            for each, first, last in zip(seen, begins, ends, strict=True)
            for close, offset in zip(each.closes, each.offsets, strict=True)
            if first <= offset < last
        }
    )
    from_ns = parse_ns(begin) if begin and not begin.isdecimal() else 0
    counted = [close for close in folded if close >= from_ns]
    if not counted:
        closes = sorted({close for each in seen for close in each.closes})
        times = f"from {format_ns(closes[0])} to {format_ns(closes[-1])}" if closes else "none"
        offsets = ", ".join(f"{p}: {each.begin}..{each.end}" for p, each in enumerate(seen))
        raise TopicError(
            f"{topic} has no bar from {begin or 'its first'} to {end or 'its last'}; its closes: "
            f"{times}; its offsets by partition: {offsets}"
        )
    notices = {n.epoch: n for at, n in seen[0].notices if at < begins[0]}
    return Range(
        topic=topic,
        begins=tuple(begins),
        ends=tuple(ends),
        notices=tuple(notices[number] for number in sorted(notices)),
        digests=tuple(sorted({digest for each in seen for digest in each.digests})),
        from_ns=counted[0],
        last_ns=counted[-1],
        n_bars=len(folded),
        is_whole=all(first == 0 for first in begins),
        remarks=tuple(_odd(topic, seen)),
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
    return chosen(topic, seen, None, end)._replace(is_whole=False)


def _begin(seen: Seen, asked: str | None) -> int:
    if asked is None:
        return seen.begin
    if asked.isdecimal():
        return max(int(asked), seen.begin)
    from_ns = parse_ns(asked)
    before = [n for n, close in enumerate(seen.closes) if close < from_ns]
    # The heartbeat that ends the bar before the first one: a fold without a time takes no tick.
    first = len(before) - WARMUP_BARS
    return seen.offsets[first] if first >= 0 else seen.begin


def _end(seen: Seen, asked: str | None) -> int:
    if asked is None:
        return seen.end
    if asked.isdecimal():
        return min(int(asked), seen.end)
    to_ns = parse_ns(asked)
    last = [
        offset for close, offset in zip(seen.closes, seen.offsets, strict=True) if close <= to_ns
    ]
    return last[-1] + 1 if last else seen.begin


def _odd(topic: str, seen: list[Seen]) -> Iterator[str]:
    deleted = [each.begin for each in seen]
    if any(deleted):
        offsets = ", ".join(map(str, deleted))
        yield f"{topic} begins at offsets {offsets}: what came before was deleted"
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
