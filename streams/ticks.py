"""Ticks as they come: bytes of ``market-ticks`` become checked ticks, one by one.

A record holds one tick or a list of ticks that live in the same partition. A bad tick in a list
does not spoil its neighbours.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from streams.errors import RecordError
from streams.partitions import partition_of
from streams.records import Tick, read_json

# A list longer than this is a file, not a record: it would hold up its partition, and if none of it
# can be used, each tick is a dead letter.
MAX_LIST = 1_000

_DECODE_ONE = msgspec.json.Decoder(Tick)
_DECODE_LIST = msgspec.json.Decoder(list[Tick])
_DECODE_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class BadTick(NamedTuple):
    """A tick that cannot be used: its place in the record, its bytes and the reason."""

    place: int
    raw: bytes
    error: RecordError


class Placement(NamedTuple):
    """What a tick must fit: the symbols of this partition and the partition count."""

    partition: int
    n_partitions: int
    universe: frozenset[str]
    local: frozenset[str]


def read_ticks(value: bytes | None, placement: Placement) -> Iterable[tuple[int, Tick] | BadTick]:
    """Return each tick with its place in the record, checked, or the reason why it is bad."""
    if not value:
        return (BadTick(0, value or b"", RecordError("EMPTY", "the record has no value")),)
    if _is_list(value):
        return _read_list(value, placement)
    return (_read_one(0, value, placement),)


def checked(ticks: Sequence[Tick], placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    """Yield ticks that never were bytes as :func:`read_ticks` does those of a record."""
    for index, tick in enumerate(ticks):
        error = _fault(tick, placement)
        yield (index, tick) if error is None else BadTick(index, b"", error)


def tick_bytes(value: bytes, place: int) -> bytes:
    """Return the bytes of one tick as its producer wrote them.

    Where the record's list cannot be cut, the whole record stands for each of its ticks.
    """
    if not _is_list(value):
        return value
    try:
        return bytes(_cut(value)[place])
    except RecordError:
        return value


def _is_list(value: bytes) -> bool:
    return value.lstrip()[:1] == b"["


# The bad ticks of one record ask one after another.
@lru_cache(maxsize=1)
def _cut(value: bytes) -> tuple[msgspec.Raw, ...]:
    raws = read_json(_DECODE_RAW_LIST, value)
    return tuple(raws)


def _read_list(value: bytes, placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    try:
        ticks = read_json(_DECODE_LIST, value)
    except RecordError:
        yield from _read_one_by_one(value, placement)
        return
    if len(ticks) > MAX_LIST:
        yield _too_long(value, len(ticks))
        return
    for index, tick in enumerate(ticks):
        error = _fault(tick, placement)
        yield (index, tick) if error is None else BadTick(index, tick_bytes(value, index), error)


def _read_one_by_one(value: bytes, placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    try:
        raws = _cut(value)
    except RecordError as error:
        yield BadTick(0, value, error)
        return
    if len(raws) > MAX_LIST:
        yield _too_long(value, len(raws))
        return
    for index, raw in enumerate(raws):
        yield _read_one(index, bytes(raw), placement)


def _too_long(value: bytes, n_ticks: int) -> BadTick:
    detail = f"{n_ticks} ticks in one record; expected at most {MAX_LIST}"
    return BadTick(0, value, RecordError("LIST_TOO_LONG", detail))


def _read_one(index: int, raw: bytes, placement: Placement) -> tuple[int, Tick] | BadTick:
    try:
        tick = read_json(_DECODE_ONE, raw)
    except RecordError as error:
        return BadTick(index, raw, error)
    fault = _fault(tick, placement)
    return (index, tick) if fault is None else BadTick(index, raw, fault)


def _fault(tick: Tick, placement: Placement) -> RecordError | None:
    try:
        tick.check()
    except RecordError as error:
        return error
    if tick.symbol in placement.local:
        return None
    if tick.symbol not in placement.universe:
        return RecordError("UNKNOWN_SYMBOL", f"{tick.symbol!r} is not in the epoch's universe")
    home = partition_of(tick.symbol, placement.n_partitions)
    return RecordError(
        "WRONG_PARTITION",
        f"{tick.symbol} came in partition {placement.partition}, its home is {home}; produce with "
        "key = symbol and murmur2 placement (librdkafka: partitioner=murmur2_random)",
    )
