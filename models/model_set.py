"""All that a timeframe needs to decide: the four fitted models and where they come from."""

from typing import Any, NamedTuple

from models.prediction.ensemble import EnsembleModel
from models.regime.posterior import RegimeModel
from models.specialists.serving import Specialists
from models.weights.controller import ControllerModel


class ModelSet(NamedTuple):
    """The models of one timeframe, fitted together.

    Attributes
    ----------
    regime : RegimeModel
    specialists : Specialists
    controller : ControllerModel
    ensemble : EnsembleModel
    metadata : dict
        JSON values: timeframe, pipeline_version, pipeline_digest, first_close_ns, last_close_ns,
        symbols, seed, fit_version, code (None: whoever knows the revision fills it in), previous
        (digest of the set that this one succeeds, or None), succession, stretches, config, metrics;
        risk_parity (weights by symbol) where the history tells.
    """

    regime: RegimeModel
    specialists: Specialists
    controller: ControllerModel
    ensemble: EnsembleModel
    metadata: dict[str, Any]
