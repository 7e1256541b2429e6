"""``regime-sum``: regime probabilities sum to one, on real bars and on wild ones, for ever."""

import numpy as np

from models.features.catalogue import NAMES
from models.regime import mixture, posterior
from tests.evidence.measurement import Measurement, Result
from tests.evidence.regime_data import COLUMNS, Floats, features_of, stocks

TOLERANCE = 1e-9
MIN_ROWS = 1_000_000

_FIT_BARS = 3_000
_WILD_SYMBOLS = 1_000
_WILD_BARS = 1_000
_SEED = 101


def measure() -> Result:
    """Fold real features, then heavy-tailed ones with gaps, and keep the worst sum."""
    features = features_of(stocks().name)
    model = mixture.fit(features[:_FIT_BARS], columns=COLUMNS, seed=_SEED)
    real, n_real, real_low = _worst(model, features)
    wild, n_wild, wild_low = _worst(model, _wild(model))
    worst = max(real, wild)
    n = n_real + n_wild
    return Result(
        value=worst,
        holds=worst <= TOLERANCE and n >= MIN_ROWS and min(real_low, wild_low) >= 0.0,
        n=n,
        parts={
            "worst_on_real_rows": real,
            "n_real": n_real,
            "worst_on_wild_rows": wild,
            "n_wild": n_wild,
            "least_probability": min(real_low, wild_low),
        },
    )


def _worst(model: posterior.RegimeModel, features: Floats) -> tuple[float, int, float]:
    """Give the largest distance of a sum from one, the rows, and the least probability."""
    n_bars, n_symbols, _ = features.shape
    state, rows = posterior.initial_state(n_symbols), np.arange(n_symbols)
    worst, least = 0.0, 1.0
    for bar in range(n_bars):
        state, regime = posterior.step(model, state, rows, features[bar])
        # NaN would be a defect as well, and must not hide behind a comparison.
        distance = np.abs(regime[:, :3].sum(axis=1) - 1.0)
        worst = max(worst, float(np.where(np.isfinite(distance), distance, np.inf).max()))
        least = min(least, float(regime[:, :3].min()))
    return worst, n_bars * n_symbols, least


def _wild(model: posterior.RegimeModel) -> Floats:
    """Draw Cauchy features around the model's scale, one row in fifty with a gap."""
    draw = np.random.default_rng(_SEED)
    features = np.zeros((_WILD_BARS, _WILD_SYMBOLS, len(NAMES)))
    shape = (_WILD_BARS, _WILD_SYMBOLS, len(COLUMNS))
    features[..., COLUMNS] = model.scaler_mean + model.scaler_scale * draw.standard_cauchy(shape)
    features[draw.random(shape[:2]) < 0.02] = np.nan
    return features


REGIME_SUM = Measurement(
    "regime-sum",
    "largest |sum - 1| over rows",
    f"<= {TOLERANCE:g} over >= {MIN_ROWS} rows",
    1,
    measure,
)
