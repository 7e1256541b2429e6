"""Ticks as they come: bytes of ``market-ticks`` become checked ticks, one by one.

A record holds one tick or a list of ticks that live in the same partition. A bad tick in a list
does not spoil its neighbours.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from streams.errors import RecordError
from streams.partitions import partition_of
from streams.records import Tick

# A list longer than this is a file, not a record; it would hold up its partition.
MAX_LIST = 100_000

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


def read_ticks(value: bytes | None, placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    """Yield each tick with its place in the record, checked, or the reason why it is bad."""
    if not value:
        yield BadTick(0, value or b"", RecordError("EMPTY", "the record has no value"))
        return
    if value.lstrip()[:1] == b"[":
        yield from _read_list(value, placement)
        return
    yield _read_one(0, value, placement)


def _read_list(value: bytes, placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    try:
        ticks = _DECODE_LIST.decode(value)
    except msgspec.MsgspecError:
        yield from _read_one_by_one(value, placement)
        return
    for index, tick in enumerate(ticks):
        error = _fault(tick, placement)
        yield (index, tick) if error is None else BadTick(index, msgspec.json.encode(tick), error)


def _read_one_by_one(value: bytes, placement: Placement) -> Iterator[tuple[int, Tick] | BadTick]:
    try:
        raws = _DECODE_RAW_LIST.decode(value)
    except (msgspec.MsgspecError, RecursionError) as error:
        yield BadTick(0, value, RecordError("NOT_JSON", str(error)))
        return
    if len(raws) > MAX_LIST:
        detail = f"{len(raws)} ticks in one record; expected at most {MAX_LIST}"
        yield BadTick(0, value, RecordError("LIST_TOO_LONG", detail))
        return
    for index, raw in enumerate(raws):
        yield _read_one(index, bytes(raw), placement)


def _read_one(index: int, raw: bytes, placement: Placement) -> tuple[int, Tick] | BadTick:
    try:
        tick = _DECODE_ONE.decode(raw)
    except msgspec.ValidationError as error:
        return BadTick(index, raw, RecordError("WRONG_TYPE", str(error)))
    except (msgspec.MsgspecError, RecursionError) as error:
        return BadTick(index, raw, RecordError("NOT_JSON", str(error)))
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
