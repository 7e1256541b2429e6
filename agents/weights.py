"""``regime-probabilities -> strategy-weights``: the specialists' scores and their weights."""

from collections.abc import Mapping

from agents.slice_stage import SliceSpec, route_to
from models.model_set import ModelSet
from models.specialists.serving import score
from models.weights.controller import ControllerState, initial_state, step
from streams.slices import FloatArray, Slice
from streams.topics import STRATEGY_WEIGHTS


def _step(
    models: ModelSet, state: ControllerState, slice_: Slice
) -> tuple[ControllerState, Mapping[str, FloatArray]]:
    scores = score(models.specialists, slice_.matrix("features"))
    state, weights = step(
        models.controller,
        state,
        slice_.rows(),
        slice_.matrix("regime"),
        scores,
        slice_.floats("close"),
    )
    return state, {"scores": scores, "weights": weights}


WEIGHTS = SliceSpec(
    "weights", ControllerState, initial_state, _step, route_to(STRATEGY_WEIGHTS.name)
)
