"""What a fit does with its bars: all settings and the version of the code, without its weight."""

from dataclasses import asdict
from typing import Any

from models.prediction import ensemble
from models.regime import mixture_settings
from models.specialists import settings, split, window
from models.weights import policy_gradient
from models.weights.controller import ControllerModel

FIT_VERSION = 5
"""Counts the changes of the code of fitting that make models fitted before them obsolete; a changed
setting does so by itself."""


def config() -> dict[str, dict[str, Any]]:
    """Return the settings of every part, as JSON values: part of what names a model set.

    Examples
    --------
    >>> sorted(config())
    ['controller', 'ensemble', 'halves', 'hedge', 'regime', 'specialists', 'split']
    """
    hedge = ControllerModel()
    return {
        "regime": {
            **asdict(mixture_settings.DEFAULTS),
            "features": list(mixture_settings.FEATURES),
            "sideways_share": mixture_settings.SIDEWAYS_SHARE,
            "min_agreement": mixture_settings.MIN_AGREEMENT,
        },
        "specialists": {
            **asdict(settings.DEFAULTS),
            "window_bars": window.LENGTH_BARS,
            "attended": list(window.ATTENDED),
            "context": settings.CONTEXT,
            "hidden": list(settings.HIDDEN),
        },
        "halves": {"members": settings.OF_HALVES.members},
        "controller": asdict(policy_gradient.DEFAULTS),
        "hedge": {
            "learning_rate": hedge.learning_rate,
            "half_life_bars": hedge.half_life_bars,
            "floor": hedge.floor,
        },
        "ensemble": {
            "gross_budget": ensemble.GROSS_BUDGET,
            "asset_budget": ensemble.ASSET_BUDGET,
            "max_target_fraction": ensemble.MAX_TARGET_FRACTION,
        },
        "split": {
            "shares": list(split.SHARES),
            "label_bars": split.LABEL_BARS,
            "embargo_bars": split.EMBARGO_BARS,
        },
    }
