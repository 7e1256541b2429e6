"""``market-bars -> feature-slices``: 60 indicators per row; table ``features``.

Beside them the features of longer bars, 5 minutes and an hour, for those who ask: they go nowhere
and decide nothing, and are kept in the same table under keys of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.slice_stage import SliceFold, SliceSpec, route_to
from agents.stage import Output, Snapshot
from models.features.bars import Bars
from models.features.longer import LongerState, Shorter, initial_longer, step_longer
from models.features.pipeline import FeatureState, initial_state, step
from models.model_set import ModelSet
from streams.dead_letters import DeadLetter
from streams.errors import RecordError
from streams.slices import FloatArray, Slice
from streams.timestamps import TIMEFRAMES_NS, longer_than
from streams.topics import FEATURE_SLICES
from streams.transport import Record
from tables.epochs import LoadedEpoch
from tables.stamped import Stamped


def _step(
    _models: ModelSet, state: FeatureState, slice_: Slice
) -> tuple[FeatureState, Mapping[str, FloatArray]]:
    state, features = step(state, slice_.rows(), _bars(slice_))
    return state, {"features": features}


FEATURES = SliceSpec("features", FeatureState, initial_state, _step, route_to(FEATURE_SLICES.name))


def _longer_spec(timeframe: str) -> SliceSpec[LongerState]:
    timeframe_ns = TIMEFRAMES_NS[timeframe]

    def step(
        _models: ModelSet, state: LongerState, slice_: Slice
    ) -> tuple[LongerState, Mapping[str, FloatArray]]:
        shorter = Shorter(
            slice_.meta.close_ns, slice_.rows(), _bars(slice_), slice_.integers("n_ticks")
        )
        return step_longer(state, timeframe_ns, shorter), {}

    def nowhere(
        _epoch: LoadedEpoch, _result: Slice, _encoded: bytes, _record: Record
    ) -> Iterable[Output]:
        return ()

    return SliceSpec(f"features of {timeframe}", LongerState, initial_longer, step, nowhere)


class LongerRow(NamedTuple):
    """A symbol's features at the close of its last longer bar, (60,); NaN where they warm up."""

    close_ns: int
    features: FloatArray


@dataclass(slots=True)
class FeatureFold(SliceFold[FeatureState]):
    """The fold of one partition: the features of its bars, and of longer ones beside them."""

    longer: dict[str, SliceFold[LongerState]] = field(default_factory=dict)
    latest: LoadedEpoch | None = None
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fold(
        self, record: Record, slice_: Slice | None = None
    ) -> tuple[list[DeadLetter], Slice | None]:
        """Fold one slice and return the wider one."""
        try:
            slice_ = slice_ or Slice.decode(record.value or b"")
            self._learn(slice_.meta.epoch_digest)
        except RecordError:
            slice_ = None
        # By its own class: a dataclass with slots is made anew, and `super()` names the old one.
        said = SliceFold.fold(self, record, slice_)
        for timeframe in longer_than(slice_.meta.timeframe) if slice_ is not None else ():
            # Each knows by itself what it has folded. What it cannot use is a dead letter already.
            self._fold_of(timeframe).fold(record, slice_)
        return said

    def _fold_of(self, timeframe: str) -> SliceFold[LongerState]:
        if timeframe not in self.longer:
            read = self.read

            def read_longer(key: bytes) -> Stamped | None:
                return read(_key(timeframe, key))

            self.longer[timeframe] = SliceFold(
                _longer_spec(timeframe), self.epochs, self.partition, read_longer
            )
        return self.longer[timeframe]

    def snapshot(self) -> Snapshot:
        """Return the states of all that changed."""
        states, next_offset = SliceFold.snapshot(self)
        for timeframe, fold in self.longer.items():
            for key, stamped in fold.snapshot().states.items():
                states[_key(timeframe, key)] = stamped
        return Snapshot(states, next_offset)

    def closes_ns(self, timeframe: str) -> tuple[int, ...]:
        """Return the last closes of longer bars, by chunk; -1 where none has closed yet."""
        fold = self.longer.get(timeframe)
        chunks = () if fold is None else fold.chunks.values()
        return tuple(int(chunk.state.latest_ns.max(initial=-1)) for chunk in chunks)

    def row(self, timeframe: str, symbol: str) -> LongerRow | None:
        """Return a symbol's features at its last longer bar that has closed; None before it."""
        fold = self.longer.get(timeframe)
        place = self.places.get(symbol)
        if fold is None or place is None or place[0] not in fold.chunks:
            return None
        state: LongerState = fold.chunks[place[0]].state
        close_ns = int(state.latest_ns[place[1]])
        return None if close_ns < 0 else LongerRow(close_ns, state.latest[place[1]].copy())

    def _learn(self, digest: str) -> None:
        """Know where the symbols of an epoch have their rows."""
        if self.latest is None or self.latest.digest != digest:
            self.latest = self.epochs.load(digest)
            self.places = {
                symbol: (number, row)
                for number, chunk in enumerate(self.latest.epoch.chunks(self.partition))
                for row, symbol in enumerate(chunk)
            }


def _bars(slice_: Slice) -> Bars:
    return Bars(*(slice_.floats(name) for name in Bars._fields))


def _key(timeframe: str, key: bytes) -> bytes:
    return timeframe.encode() + b":" + key
