"""``market-bars -> feature-slices``: 60 indicators per row; table ``features``."""

from collections.abc import Mapping

from agents.slice_stage import SliceSpec, route_to
from models.features.bars import Bars
from models.features.pipeline import FeatureState, initial_state, step
from models.model_set import ModelSet
from streams.slices import FloatArray, Slice
from streams.topics import FEATURE_SLICES


def _step(
    _models: ModelSet, state: FeatureState, slice_: Slice
) -> tuple[FeatureState, Mapping[str, FloatArray]]:
    bars = Bars(*(slice_.floats(name) for name in Bars._fields))
    state, features = step(state, slice_.rows(), bars)
    return state, {"features": features}


FEATURES = SliceSpec("features", FeatureState, initial_state, _step, route_to(FEATURE_SLICES.name))
