"""``regime-probabilities -> strategy-weights``: the specialists' scores and their weights."""

from collections.abc import Mapping
from typing import NamedTuple

from agents.slice_stage import SliceSpec, route_to
from models.model_set import ModelSet
from models.regime.posterior import REGIMES
from models.specialists import serving, window
from models.specialists.window import WindowState
from models.weights import controller
from models.weights.controller import ControllerState
from models.weights.health import health
from streams import metrics
from streams.slices import FloatArray, Slice
from streams.topics import STRATEGY_WEIGHTS


class WeightsState(NamedTuple):
    """What the specialists look back on, and what the controller remembers."""

    window: WindowState
    controller: ControllerState


def _initial_state(n_symbols: int) -> WeightsState:
    return WeightsState(window.initial_state(n_symbols), controller.initial_state(n_symbols))


def _step(
    models: ModelSet, state: WeightsState, slice_: Slice
) -> tuple[WeightsState, Mapping[str, FloatArray]]:
    rows = slice_.rows()
    looked_back, scores = serving.step(
        models.specialists, state.window, rows, slice_.matrix("features")
    )
    remembered, weights = controller.step(
        models.controller,
        state.controller,
        rows,
        slice_.matrix("regime"),
        scores,
        slice_.floats("close"),
    )
    return WeightsState(looked_back, remembered), {"scores": scores, "weights": weights}


def _observe(before: WeightsState, after: WeightsState, result: Slice) -> None:
    said = health(before.controller, after.controller)
    place = (result.meta.partition, result.meta.chunk)
    metrics.CONTROLLER_REPAIRS.inc(said.repairs)
    metrics.CONTROLLER_FALLBACKS.inc(said.fallbacks)
    for option, share in zip(REGIMES, said.usage, strict=True):
        metrics.OPTION_USAGE_FRACTION.labels(*place, option).set(share)
    metrics.OPTION_USAGE_ENTROPY_BITS.labels(*place).set(said.entropy_bits)
    metrics.OPTION_COLLAPSED.labels(*place).set(said.collapsed)
    metrics.OPTION_COLLAPSED_SYMBOLS.labels(*place).set(said.collapsed_symbols)


WEIGHTS = SliceSpec(
    "weights", WeightsState, _initial_state, _step, route_to(STRATEGY_WEIGHTS.name), _observe
)
