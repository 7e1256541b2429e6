"""``market-bars -> feature-slices, regime-probabilities, strategy-weights, portfolio-events``.

The four stages of a symbol in one agent: each makes its columns from the slice of the one before,
and every topic is published all the same. Between agents of their own the same rows were encoded,
acknowledged, fetched and decoded three times more before there was a decision (ADR 0034).

A chunk's four states are one record of the table ``signals``: a restart finds all of them behind
the same slice, or none, so what one has folded no other can lack.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from agents.features import FEATURES, FeatureFold
from agents.prediction import PREDICTION, PredictionFold
from agents.regime import REGIME
from agents.slice_stage import SliceFold, SliceSpec
from agents.stage import Output, Reader, Snapshot
from agents.weights import WEIGHTS
from streams import metrics
from streams.clock import monotonic_s
from streams.codec import pack_state, unpack_state
from streams.dead_letters import DeadLetter
from streams.transport import Record
from tables.epochs import Epochs
from tables.stamped import Stamped

# In flow order.
SPECS: tuple[SliceSpec[Any], ...] = (FEATURES, REGIME, WEIGHTS, PREDICTION)


def fold_of(spec: SliceSpec[Any], epochs: Epochs, partition: int, read: Reader) -> SliceFold[Any]:
    """Return the fold of one of the stages; longer bars are beside those of a worker alone."""
    kind = PredictionFold if spec is PREDICTION else SliceFold
    return kind(spec, epochs, partition, read)


class SignalsKept(NamedTuple):
    """A chunk's snapshots, one of each stage."""

    features: bytes
    regime: bytes
    weights: bytes
    prediction: bytes


class SignalFold:
    """The fold of one partition: a closed bar goes through the four stages.

    Parameters
    ----------
    epochs
        The documents that decide.
    partition
        Of the bars.
    read
        Reads the snapshots.
    """

    def __init__(self, epochs: Epochs, partition: int, read: Reader) -> None:
        def reader(stage: str) -> Reader:
            def read_own(key: bytes) -> Stamped | None:
                stamped = read(key)
                if stamped is None or not key.isdigit():
                    return stamped
                kept = unpack_state(SignalsKept, stamped.state)
                return stamped._replace(state=getattr(kept, stage))

            return read_own

        self.features = FeatureFold(FEATURES, epochs, partition, reader("features"))
        self._epochs = epochs
        others = (fold_of(spec, epochs, partition, reader(spec.name)) for spec in SPECS[1:])
        self._stages: tuple[SliceFold[Any], ...] = (self.features, *others)

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Fold one slice of bars and return what each stage makes of it."""
        said: list[Output | DeadLetter] = []
        slice_ = None
        for stage in self._stages:
            started = monotonic_s()
            letters, slice_ = stage.fold(record, slice_)
            said += letters
            if slice_ is None:
                break
            loaded = self._epochs.load(slice_.meta.epoch_digest)
            said += stage.spec.route(loaded, slice_, slice_.encode(), record)
            metrics.STEP_SECONDS.labels(stage.spec.name).observe(monotonic_s() - started)
        return said

    def due(self) -> bool:
        """Tell whether enough slices were folded for a snapshot."""
        return self.features.due()

    def snapshot(self) -> Snapshot:
        """Return the states of the chunks that changed, and those of longer bars."""
        (features, next_offset), *others = [stage.snapshot() for stage in self._stages]
        states = {
            key: Stamped(
                next_offset,
                pack_state(SignalsKept(stamped.state, *(one.states[key].state for one in others))),
            )
            if key.isdigit()
            else stamped
            for key, stamped in features.items()
        }
        return Snapshot(states, next_offset)
