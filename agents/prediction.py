"""``strategy-weights -> portfolio-events``: a target per row, one slice per portfolio.

A portfolio gets every slice, also one without rows of its own, because its barrier counts them.
While a rollout runs, the challenger's own chain is folded beside, from the features that the slice
carries. What both wish goes to ``shadow-intents``; a portfolio gets the challenger's wish in the
rows that are assigned to it, and in shadow none. An error of the challenger is its own: then it
wishes nothing.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from agents.slice_stage import SliceFold, SliceSpec
from agents.stage import Output
from models import chain
from models.chain import ChainState, Wish
from models.model_set import ModelSet
from models.prediction.ensemble import predict
from streams import metrics
from streams.codec import StateError, unpack_state
from streams.epochs import Challenge, Portfolio
from streams.slices import FloatArray, Slice
from streams.topics import PORTFOLIO_EVENTS, SHADOW_INTENTS
from streams.transport import Record
from tables.epochs import LoadedEpoch

log = logging.getLogger("tradewind.prediction")

# In front of a column's name: the challenger's.
CHALLENGER = "challenger_"

# What an assigned row gets from the challenger.
_DECIDING = {
    name: CHALLENGER + name
    for name in ("regime", "scores", "weights", "confidence", "target_fraction")
}
_BOTH = ("weights", "confidence", "probability_up", "target_fraction")
_SHADOW = ("symbol", "row", "close", *_BOTH, *(CHALLENGER + name for name in ("regime", *_BOTH)))


class Nothing(NamedTuple):
    """The state of a stage that remembers nothing but the last slice."""


class Beside(NamedTuple):
    """What a challenger remembers of a chunk, and whose it is."""

    rollout: str
    challenger: str
    chain: ChainState


def _initial(_n_symbols: int) -> Nothing:
    return Nothing()


def _step(
    models: ModelSet, state: Nothing, slice_: Slice
) -> tuple[Nothing, Mapping[str, FloatArray]]:
    confidence, _, target = _predicted(models, slice_)
    return state, {"confidence": confidence, "target_fraction": target}


def _predicted(models: ModelSet, slice_: Slice) -> tuple[FloatArray, FloatArray, FloatArray]:
    return predict(
        models.ensemble,
        slice_.matrix("features"),
        slice_.matrix("scores"),
        slice_.matrix("weights"),
    )


def _route(loaded: LoadedEpoch, result: Slice, encoded: bytes, record: Record) -> Iterable[Output]:
    is_compared = _is_compared(result)
    for portfolio in loaded.epoch.portfolios:
        is_whole = not portfolio.universe and not is_compared
        value = encoded if is_whole else rows_of(loaded, result, portfolio).encode()
        yield Output(PORTFOLIO_EVENTS.name, portfolio.id.encode(), value, record.headers)
    if is_compared:
        key, value = str(record.partition).encode(), result.only(_SHADOW).encode()
        yield Output(SHADOW_INTENTS.name, key, value, record.headers, record.partition)


def rows_of(loaded: LoadedEpoch, slice_: Slice, portfolio: Portfolio) -> Slice:
    """Return a slice with the rows that a portfolio trades, each as who decides for it wishes."""
    if _is_compared(slice_):
        assigned = loaded.challenged(portfolio.id)
        slice_ = slice_.replaced(assigned, _DECIDING) if assigned else slice_
        names = slice_.batch.schema.names
        slice_ = slice_.only(
            name for name in names if not name.startswith(CHALLENGER) and name != "probability_up"
        )
    if not portfolio.universe:
        return slice_
    wanted = pc.is_in(slice_.batch.column("symbol"), pa.array(portfolio.universe, pa.utf8()))
    return Slice(slice_.meta, slice_.batch.filter(wanted))


def _is_compared(slice_: Slice) -> bool:
    return CHALLENGER + "target_fraction" in slice_.batch.schema.names


PREDICTION = SliceSpec("prediction", Nothing, _initial, _step, _route)


@dataclass(slots=True)
class PredictionFold(SliceFold[Nothing | Beside]):
    """The fold of one partition: the ensemble, and a challenger's chain while there is one."""

    def stepped(
        self, loaded: LoadedEpoch, state: Nothing | Beside, slice_: Slice
    ) -> tuple[Nothing | Beside, Mapping[str, FloatArray]]:
        """Return the next state and the columns; the challenger's behind the champion's."""
        rollout, challenger = loaded.epoch.rollout, loaded.challenger
        if rollout is None or challenger is None:
            return _step(loaded.models, Nothing(), slice_)
        confidence, up, target = _predicted(loaded.models, slice_)
        n_symbols = len(loaded.epoch.chunks(self.partition)[slice_.meta.chunk])
        beside = _own(state, rollout, n_symbols)
        beside, wish = _wished(challenger, beside, slice_)
        columns = {"confidence": confidence, "target_fraction": target, "probability_up": up}
        told = {CHALLENGER + name: values for name, values in wish._asdict().items()}
        return beside, {**columns, **told}

    def unpacked(self, packed: bytes, n_symbols: int) -> Nothing | Beside:
        """Return the state of a chunk's snapshot; without a rollout that is nothing."""
        try:
            beside = unpack_state(Beside, packed)
        except StateError:
            # By its own class: a dataclass with slots is made anew, `super()` names the old one.
            return SliceFold.unpacked(self, packed, n_symbols)
        self.check_layout(beside.chain, chain.initial_state(n_symbols))
        return beside


def _own(state: Nothing | Beside, rollout: Challenge, n_symbols: int) -> Beside:
    """Return what this challenger remembers; that of another one is not its own."""
    if isinstance(state, Beside) and state[:2] == (rollout.id, rollout.challenger):
        return state
    return Beside(rollout.id, rollout.challenger, chain.initial_state(n_symbols))


def _wished(models: ModelSet, beside: Beside, slice_: Slice) -> tuple[Beside, Wish]:
    rows, features = slice_.rows(), slice_.matrix("features")
    try:
        state, wish = chain.step(models, beside.chain, rows, features, slice_.floats("close"))
    except Exception as error:  # noqa: BLE001  whatever a challenger does, the champion decides
        metrics.CHALLENGER_ERRORS.inc()
        log.warning("the challenger %s says nothing: %s", beside.challenger[:12], error)
        return beside, chain.no_wish(len(rows))
    return beside._replace(chain=state), wish
