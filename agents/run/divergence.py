"""Where two runs part: the first decision that differs, and the earliest stage whose slice does."""

from typing import Any, NamedTuple

import msgspec

from agents.prediction import rows_of
from agents.run.decided import Named, identity_of
from agents.run.in_process import Said
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_log import partitions, reading, records
from agents.signals import SPECS
from agents.topology import prefix_of
from streams.dead_letters import DeadLetter
from streams.errors import RecordError
from streams.slices import Slice
from streams.timestamps import parse_ns
from streams.topics import (
    FEATURE_SLICES,
    MARKET_BARS,
    PORTFOLIO_EVENTS,
    REGIME_PROBABILITIES,
    STRATEGY_WEIGHTS,
)

_JSON = msgspec.json.Encoder()

# Of bars and of the stages of a symbol, in flow order.
_TOPICS = tuple(
    spec.name
    for spec in (
        MARKET_BARS,
        FEATURE_SLICES,
        REGIME_PROBABILITIES,
        STRATEGY_WEIGHTS,
        PORTFOLIO_EVENTS,
    )
)


class Slot(NamedTuple):
    """Which decision it is, in the order in which they are hashed."""

    ts_ns: int
    symbol: str
    portfolio: str
    decision_id: str


class Difference(NamedTuple):
    """The first decision that differs.

    Attributes
    ----------
    slot
        Which one.
    fields
        (field, value there, value here) of all that differ; one side has None for a decision that
        it does not have.
    stage
        The earliest stage whose slice of that bar differs; ``risk`` if none does; empty if the
        slices are gone.
    """

    slot: Slot
    fields: list[tuple[str, Any, Any]]
    stage: str


class Heard:
    """Remembers the decisions of a run by digest, and those of one slot whole.

    Parameters
    ----------
    wanted
        Id of the decision whose bytes are kept.
    """

    def __init__(self, wanted: str = "") -> None:
        self.slots: dict[Slot, int] = {}
        self.value: bytes | None = None
        self._wanted = wanted

    def take(self, said: Said) -> None:
        """Take what a book said."""
        if isinstance(said, DeadLetter):
            return
        for decision in said.decisions:
            value = _JSON.encode(decision)
            ts_ns = parse_ns(decision.timestamp)
            slot = Slot(ts_ns, decision.symbol, decision.portfolio, decision.decision_id)
            self.note(slot, value)

    def read(self, said: Named, value: bytes) -> None:
        """Take a decision that was read from a topic."""
        slot = Slot(parse_ns(said.timestamp), said.symbol, said.portfolio, said.decision_id)
        self.note(slot, value)

    def note(self, slot: Slot, value: bytes) -> None:
        """Remember a decision."""
        self.slots[slot] = hash(value)
        if slot.decision_id == self._wanted:
            self.value = value


async def first_difference(test: TopicBacktest) -> Difference | None:
    """Compare what a run decided with what its log gives in this process; None if all is equal.

    Both are read twice, so that no more than one decision is held whole.
    """
    theirs, mine = Heard(), Heard()
    prefix = prefix_of(test.run_name)
    await identity_of(test.servers, prefix, theirs.read, test.after_ns, test.before_ns)
    await test.fold(mine.take)
    differing = [
        slot
        for slot in theirs.slots.keys() | mine.slots.keys()
        if theirs.slots.get(slot) != mine.slots.get(slot)
    ]
    if not differing:
        return None
    first = min(differing)
    there, here = Heard(first.decision_id), Heard(first.decision_id)
    made: dict[tuple[str, int, int], Slice] = {}

    def watch(stage: str, slice_: Slice) -> None:
        if slice_.meta.close_ns == first.ts_ns:
            made[stage, slice_.meta.partition, slice_.meta.chunk] = slice_

    await identity_of(test.servers, prefix, there.read, test.after_ns, test.before_ns)
    test.watch = watch
    await test.fold(here.take)
    fields = compared(there.value, here.value)
    return Difference(first, fields, await earliest_stage(test, made, first))


def compared(there: bytes | None, here: bytes | None) -> list[tuple[str, Any, Any]]:
    """Return the fields in which two decisions differ, nested ones with their path.

    Examples
    --------
    >>> compared(b'{"a": 1, "b": {"c": 2}}', b'{"a": 1, "b": {"c": 3}}')
    [('b.c', 2, 3)]
    >>> compared(None, b'{"a": 1}')
    [('a', None, 1)]
    """
    sides = [dict(_flat("", msgspec.json.decode(side))) if side else {} for side in (there, here)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    return [
        (name, sides[0].get(name), sides[1].get(name))
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]


def _flat(path: str, value: Any) -> list[tuple[str, Any]]:  # noqa: ANN401  any JSON value
    if not isinstance(value, dict):
        return [(path, value)]
    return [
        pair
        for key, each in value.items()
        for pair in _flat(f"{path}.{key}" if path else key, each)
    ]


async def earliest_stage(
    test: TopicBacktest, made: dict[tuple[str, int, int], Slice], slot: Slot
) -> str:
    """Return the earliest stage whose recorded slice differs from the one made here."""
    stages = ("bars", *(spec.name for spec in SPECS))
    n_compared = 0
    for stage, topic in zip(stages, _TOPICS, strict=True):
        recorded = await _slices(test.servers, prefix_of(test.run_name) + topic, slot)
        for (partition, chunk), slice_ in recorded.items():
            mine = made.get((stage, partition, chunk))
            if mine is None:
                continue
            if topic == PORTFOLIO_EVENTS.name:
                loaded = test.epochs.load(mine.meta.epoch_digest)
                portfolios = loaded.epoch.portfolios
                mine = rows_of(loaded, mine, next(p for p in portfolios if p.id == slot.portfolio))
            if not same_bytes(mine, slice_):
                return stage
            n_compared += 1
    return "risk" if n_compared else ""


def same_bytes(mine: Slice, theirs: Slice) -> bool:
    """Tell whether two slices have the same bytes, once both were written and read alike.

    The digest of their epoch may differ: what it changes shows in the columns, or in no slice.
    """
    meta = msgspec.structs.replace(mine.meta, epoch_digest=theirs.meta.epoch_digest)
    mine = Slice(meta, mine.batch)
    return Slice.decode(mine.encode()).encode() == Slice.decode(theirs.encode()).encode()


async def _slices(servers: str, topic: str, slot: Slot) -> dict[tuple[int, int], Slice]:
    """Return what a stage has sent of a slot's bar; of the book's log, what is its portfolio's."""
    found: dict[tuple[int, int], Slice] = {}
    async with reading(servers) as consumer:
        for place in await partitions(servers, topic):
            async for record in records(consumer, place):
                try:
                    slice_ = Slice.decode(record.value or b"")
                except RecordError:
                    continue
                is_of = not topic.endswith(PORTFOLIO_EVENTS.name) or (
                    record.key == slot.portfolio.encode()
                )
                if is_of and slice_.meta.close_ns == slot.ts_ns:
                    found.setdefault((slice_.meta.partition, slice_.meta.chunk), slice_)
    return found
