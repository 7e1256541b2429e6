"""Planted regimes that last: what every arm must find."""

from collections.abc import Sequence

import numpy as np

from models.regime.posterior import RegimeModel

COLUMNS = np.array([4, 1, 2, 0])

# return_21, volatility_21, return_63, drawdown_63 of bull, bear and sideways.
CENTRES = np.array(
    [[0.05, 0.01, 0.14, -0.01], [-0.09, 0.03, -0.2, -0.25], [0.0, 0.012, 0.0, -0.06]]
)
SPREADS = np.array(
    [[0.01, 0.001, 0.02, 0.005], [0.02, 0.004, 0.04, 0.04], [0.01, 0.001, 0.02, 0.01]]
)


def planted(seed: int = 41) -> tuple[np.ndarray, np.ndarray]:
    """Draw 800 bars of three symbols, five features, and their regimes; spells last 20 bars."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(draw.integers(0, 3, size=(40, 3)), 20, axis=0)
    features = np.zeros((800, 3, 5))
    features[..., COLUMNS] = CENTRES[truth] + SPREADS[truth] * draw.normal(size=(800, 3, 4))
    return features, truth


def mixture_at(centres: np.ndarray, names: Sequence[int]) -> RegimeModel:
    """Build a mixture with an equally likely, narrow component at each centre, named as told."""
    n = len(centres)
    return RegimeModel(
        scaler_mean=np.zeros(4),
        scaler_scale=np.ones(4),
        weights=np.full(n, 1.0 / n),
        means=centres,
        precisions_cholesky=np.tile(np.eye(4) / 0.002, (n, 1, 1)),
        log_constants=np.zeros(n),
        component_regime=np.eye(3)[list(names)],
        feature_columns=np.arange(4),
        half_life_bars=5.0,
    )
