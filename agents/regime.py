"""``feature-slices -> regime-probabilities``: filtered probabilities and entropy per row."""

from collections.abc import Mapping

from agents.slice_stage import SliceSpec, route_to
from models.model_set import ModelSet
from models.regime.doubt import doubt
from models.regime.posterior import RegimeState, initial_state, step
from streams import metrics
from streams.slices import FloatArray, Slice
from streams.topics import REGIME_PROBABILITIES


def _step(
    models: ModelSet, state: RegimeState, slice_: Slice
) -> tuple[RegimeState, Mapping[str, FloatArray]]:
    state, regime = step(models.regime, state, slice_.rows(), slice_.matrix("features"))
    return state, {"regime": regime}


def _observe(_before: RegimeState, after: RegimeState, result: Slice) -> None:
    said = doubt(after, result.rows(), result.matrix("regime"))
    metrics.REGIME_ROWS.inc(said.n_rows)
    metrics.REGIME_UNSURE_ROWS.inc(said.n_unsure)
    if said.n_rows:
        place = (result.meta.partition, result.meta.chunk)
        metrics.REGIME_ENTROPY_BITS.labels(*place).set(said.mean_bits)


REGIME = SliceSpec(
    "regime", RegimeState, initial_state, _step, route_to(REGIME_PROBABILITIES.name), _observe
)
