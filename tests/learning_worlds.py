"""Small stretches of bars to learn from, and model sets that may."""

from typing import Any

import numpy as np

from models.features.catalogue import NAMES, pipeline_digest
from models.history import BarHistory
from models.learning.settings import Settings
from models.model_set import ModelSet
from models.prepared import Prepared
from tests import builders

DAY_NS = 86_400 * 10**9
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
SHORT = Settings(
    strength=0.3,
    learning_rate=1e-3,
    normalised=True,
    prior=0.1,
    window_days=30,
    gate_days=20,
    batch_rows=32,
)


def prepared(n_bars: int = 80, first_day: int = 1_000, seed: int = 5) -> Prepared:
    """Draw daily bars and features."""
    draw = np.random.default_rng(seed)
    moves = 0.01 * draw.standard_normal((n_bars, len(SYMBOLS)))
    close = 100.0 * np.cumprod(1.0 + moves, axis=0)
    closes = DAY_NS * (first_day + np.arange(n_bars, dtype=np.int64))
    history = BarHistory(SYMBOLS, closes, close, close, close, close, np.ones(close.shape), close)
    features = draw.standard_normal((*close.shape, len(NAMES)))
    features[..., NAMES.index("volatility_21")] = 0.01
    return Prepared(history, features)


def fitted(fitted_on: Prepared | None = None, **metadata: Any) -> ModelSet:  # noqa: ANN401  any JSON value
    """Draw a model set that says it was fitted on some bars."""
    bars = prepared() if fitted_on is None else fitted_on
    closes = bars.history.close_ns
    about: dict[str, Any] = {
        "timeframe": "1day",
        "source": "drawn",
        "pipeline_version": "v1.0.0",
        "pipeline_digest": pipeline_digest(),
        "symbols": list(SYMBOLS),
        "first_close_ns": int(closes[0]),
        "last_close_ns": int(closes[-1]),
        "seed": 7,
        "fit_version": 5,
        "code": None,
        "config": {},
        "metrics": {"held_back": {"rank_ic": 0.01}},
        "stretches": {
            "training": {
                "first_close_ns": int(closes[20]),
                "last_close_ns": int(closes[59]),
                "n_bars": 40,
            }
        },
    }
    drawn = builders.models(3)
    volatility = drawn.ensemble._replace(volatility_column=NAMES.index("volatility_21"))
    return drawn._replace(ensemble=volatility, metadata=about | metadata)
