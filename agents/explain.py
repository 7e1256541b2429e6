"""``trading-decisions -> explanations``: why, of every order and refusal, and of some others.

Table ``explain``: the last 16 bars of every symbol, as the decisions tell them. A decision has the
features of its bar and one is made for every bar, so the topic alone holds what the attention saw.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from agents.stage import Output, Reader, Snapshot
from models.model_set import ModelSet
from streams import metrics
from streams.dead_letters import DeadLetter, Origin
from streams.errors import RecordError
from streams.explanation import Explanation
from streams.records import Decision
from streams.timestamps import parse_ns
from streams.topics import EXPLANATIONS
from streams.transport import Record
from tables.explanations import (
    NO_BARS,
    PastBars,
    explanation,
    is_modelled,
    pack_bars,
    place_of,
    read_decision,
    tells_of_a_bar,
    unpack_bars,
    why_of,
    with_bar,
)
from tables.stamped import Stamped
from tables.stores.artifacts import ArtifactMissing, Artifacts

log = logging.getLogger("tradewind.explain")

# Decisions between two snapshots.
SNAPSHOT_DECISIONS = 4_096

_JSON = msgspec.json.Encoder()
_STAGE = "explain"


@dataclass(slots=True)
class _Part:
    """Bars of some symbols of one timeframe; records below ``stamp`` are in them already."""

    bars: dict[str, PastBars]
    stamp: int = 0
    is_dirty: bool = False


@dataclass(slots=True)
class ExplainFold:
    """The fold of one partition of ``trading-decisions``."""

    artifacts: Artifacts
    read: Reader
    # Why nothing new may be kept; empty while there is room.
    refusal: Callable[[], str] = str
    parts: dict[str, _Part] = field(default_factory=dict)
    models: dict[str, ModelSet] = field(default_factory=dict)
    next_offset: int = 0
    n_since: int = 0
    n_refused: int = 0

    def __post_init__(self) -> None:
        """Have the counters of alerts before they count: a first sample above 0 is no increase."""
        for what in ("residual", "confidence"):
            metrics.EXPLANATIONS_OFF.labels(what)

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Push the bar that a decision tells of, and explain the decision."""
        self.next_offset = record.offset + 1
        self.n_since += 1
        try:
            return list(self._take(record, read_decision(record.value or b"")))
        except RecordError as error:
            origin = Origin(record.topic, record.partition, record.offset, key=record.key)
            return (DeadLetter.of(error, origin, _STAGE, record.value or b""),)

    def _take(self, record: Record, decision: Decision) -> Iterator[Output]:
        past = None
        if tells_of_a_bar(decision) or is_modelled(decision):
            part = self._part(place_of(decision.timeframe, decision.symbol))
            if record.offset < part.stamp:
                return
            past = part.bars.get(decision.symbol, NO_BARS)
            if parse_ns(decision.timestamp) < past.close_ns:
                # It comes again from before a restart of risk, and was explained then; or it was
                # made while the broker was away, and is explained on demand.
                return
            if tells_of_a_bar(decision):
                past = part.bars[decision.symbol] = with_bar(past, decision)
                part.is_dirty = True
        why = why_of(decision)
        if why is not None and self._has_room():
            said = explanation(decision, why, self._models(decision.digests.models), past)
            _show(said)
            key = decision.decision_id.encode()
            yield Output(EXPLANATIONS.name, key, _JSON.encode(said), record.headers)

    def _has_room(self) -> bool:
        """Tell whether an explanation may be kept; one that may not is made on demand."""
        refusal = self.refusal()
        if refusal:
            if not self.n_refused:
                log.error("explanations are not kept, only made on demand: %s", refusal)
            self.n_refused += 1
            metrics.EXPLANATIONS_REFUSED.inc()
        elif self.n_refused:
            log.warning("explanations are kept again, after %d that were not", self.n_refused)
            self.n_refused = 0
        return not refusal

    def _part(self, place: str) -> _Part:
        part = self.parts.get(place)
        if part is None:
            stamped = self.read(place.encode())
            part = (
                _Part({})
                if stamped is None
                else _Part(unpack_bars(stamped.state), stamped.next_offset)
            )
            self.parts[place] = part
        return part

    def _models(self, digest: str) -> ModelSet | None:
        models = self.models.get(digest)
        if models is None:
            try:
                models = self.artifacts.load_models(digest)
            except ArtifactMissing:
                return None
            # Those of the last epochs are asked for; in a rollout two decide at a time.
            self.models = {**dict(list(self.models.items())[-1:]), digest: models}
        return models

    def due(self) -> bool:
        """Tell whether enough decisions were read for a snapshot."""
        return self.n_since >= SNAPSHOT_DECISIONS

    def snapshot(self) -> Snapshot:
        """Return the bars that changed."""
        self.n_since = 0
        states = {}
        for place, part in self.parts.items():
            if part.is_dirty:
                states[place.encode()] = Stamped(self.next_offset, pack_bars(part.bars))
                part.is_dirty = False
        return Snapshot(states, self.next_offset)


def _show(said: Explanation) -> None:
    metrics.EXPLANATIONS.labels(said.why, said.explained).inc()
    if said.is_additive is False:
        metrics.EXPLANATIONS_OFF.labels("residual").inc()
    if said.confidence_difference:
        metrics.EXPLANATIONS_OFF.labels("confidence").inc()
