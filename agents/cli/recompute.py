"""A decision made once more: the fold of its book over the log, up to the record that decided it.

The log of the book is folded from the nearest checkpoint, or from its first record; from the
stage's last snapshot where both are gone and the snapshot is of before the decision. With other
limits the fold takes a change of limits right before that record, by the way that every change
takes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.cli.book_log import BookLog
from agents.risk import RiskFold
from agents.run.topic_log import partitions, reading, records
from agents.stage import Output, Reader
from agents.topology import prefix_of
from streams.dead_letters import DeadLetter
from streams.errors import SettingsError
from streams.instructions import LimitChange
from streams.partitions import partition_of
from streams.timestamps import format_ns
from streams.topics import PORTFOLIO_EVENTS, TRADING_DECISIONS
from streams.transport import Record
from tables.checkpoint import Checkpoint
from tables.stamped import Stamped

_JSON = msgspec.json.Encoder()
_PREFIX = "risk."


class Recomputed(NamedTuple):
    """A decision as the fold makes it now.

    Attributes
    ----------
    value : bytes
    begin : int
        Offset of the first record that was folded.
    beginning : str
        What it was folded into: an empty book, a snapshot, a checkpoint.
    offset : int
        Of the record that decided.
    """

    value: bytes
    begin: int
    beginning: str
    offset: int


class _Beginning(NamedTuple):
    """Where a fold begins: what stood before, from which offset on, and what it is."""

    read: Reader
    offset: int
    name: str


async def recompute(
    log: BookLog,
    portfolio: str,
    decision_id: str,
    limits: Mapping[str, Any] | None = None,
    nearest: Checkpoint | None = None,
) -> Recomputed:
    """Make a decision again, under other limits from its bar on if any are given.

    ``nearest`` is a checkpoint of before the decision.

    Raises
    ------
    SettingsError
        If the log does not reach back to before the decision, or a limit is refused.
    """
    topic = prefix_of(log.run) + PORTFOLIO_EVENTS.name
    places = await partitions(log.servers, topic)
    if not places:
        raise SettingsError(f"there is no topic {topic} at {log.servers}")
    place = places[partition_of(portfolio, len(places))]
    async with reading(log.servers) as consumer:
        begin = await _beginning(consumer, log, place, nearest)
        wanted = _Wanted(portfolio, decision_id)
        found = await _folded(consumer, place, begin, RiskFold(log.epochs, begin.read), wanted)
        if found is None:
            raise SettingsError(_too_late(topic, place, begin, decision_id))
        if limits:
            other = _Wanted(portfolio, decision_id, found.offset, limits)
            fold = RiskFold(log.epochs, begin.read)
            found = await _folded(consumer, place, begin, fold, other)
            if found is None:
                raise SettingsError(
                    f"under these limits there is no decision {decision_id}: risk has not asked"
                )
    return found


async def _beginning(
    consumer: AIOKafkaConsumer, log: BookLog, place: TopicPartition, nearest: Checkpoint | None
) -> _Beginning:
    first = (await consumer.beginning_offsets([place]))[place]
    is_of = nearest is not None and place.partition < len(nearest.book)
    if nearest is not None and is_of and nearest.book[place.partition] >= first:
        read = partial(nearest.read, "risk", place.partition)
        name = f"the checkpoint of {format_ns(nearest.close_ns)}"
        return _Beginning(read, nearest.book[place.partition], name)
    states: dict[bytes, Stamped] = {}
    if not first:
        return _Beginning(states.get, 0, "an empty book")
    states = await log.states(consumer, place.partition)
    begin = min((each.next_offset for each in states.values()), default=first)
    return _Beginning(states.get, begin, "the stage's snapshot")


class _Wanted(NamedTuple):
    """Which decision, and the limits that are to change before the record at ``offset``."""

    portfolio: str
    decision_id: str
    offset: int = -1
    limits: Mapping[str, Any] = {}


async def _folded(
    consumer: AIOKafkaConsumer,
    place: TopicPartition,
    begin: _Beginning,
    fold: RiskFold,
    wanted: _Wanted,
) -> Recomputed | None:
    marker = wanted.decision_id.encode()
    async for said in records(consumer, place, begin.offset):
        record = _record(said)
        if said.offset == wanted.offset:
            _change(fold, record, wanted)
        for output in fold.apply(record):
            if (
                isinstance(output, Output)
                and output.topic == TRADING_DECISIONS.name
                and marker in output.value
                and msgspec.json.decode(output.value)["decision_id"] == wanted.decision_id
            ):
                return Recomputed(output.value, begin.offset, begin.name, said.offset)
    return None


def _record(said: ConsumerRecord) -> Record:
    headers = list(said.headers)
    return Record(said.topic, said.partition, said.offset, said.key, said.value, headers)


def _change(fold: RiskFold, before: Record, wanted: _Wanted) -> None:
    """Let the fold take other limits at the account's own time."""
    book = fold.look(wanted.portfolio)
    if book is None or book.account.kept.now_ns < 0:
        raise SettingsError("before its first bar a book has no limits to change")
    change = LimitChange(
        portfolio=wanted.portfolio,
        ts_event=book.account.kept.now_ns,
        change_id="what-if",
        actor="explain",
        role="admin",
        reason="what if",
        limits=dict(wanted.limits),
    )
    key = wanted.portfolio.encode()
    taken = fold.apply(before._replace(key=key, value=_JSON.encode(change), headers=[]))
    for output in taken:
        if isinstance(output, DeadLetter):
            raise SettingsError(f"--what-if was refused: {output.reason}: {output.detail}")


def _too_late(topic: str, place: TopicPartition, begin: _Beginning, decision_id: str) -> str:
    return (
        f"{topic}, partition {place.partition}, was folded from {begin.name} at offset "
        f"{begin.offset} on, and no record from there decides {decision_id}: the ones before are "
        "gone, or the snapshot is of after the decision"
    )


def limits_of(texts: list[str]) -> dict[str, Any]:
    """Read ``risk.KEY=VALUE``.

    Raises
    ------
    SettingsError
        If it is something else.

    Examples
    --------
    >>> limits_of(["risk.max_asset_fraction=0.2"])
    {'max_asset_fraction': 0.2}
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.startswith(_PREFIX):
            raise SettingsError(f"--what-if was {text!r}; expected risk.KEY=VALUE")
        try:
            found[key.removeprefix(_PREFIX)] = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise SettingsError(f"--what-if {key} was {value!r}; expected a number") from error
    return found
