"""Trend columns against TA-Lib, from its first value on."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.features.pipeline import fold
from tests.unit.models.features.conftest import Oracle, random_walk

ORACLES: dict[str, Oracle] = {
    "sma_distance_20": lambda bars: bars.close / talib.SMA(bars.close, 20) - 1.0,
    "sma_distance_50": lambda bars: bars.close / talib.SMA(bars.close, 50) - 1.0,
    "sma_distance_100": lambda bars: bars.close / talib.SMA(bars.close, 100) - 1.0,
    "sma_distance_200": lambda bars: bars.close / talib.SMA(bars.close, 200) - 1.0,
    "ema_distance_5": lambda bars: bars.close / talib.EMA(bars.close, 5) - 1.0,
    "ema_distance_10": lambda bars: bars.close / talib.EMA(bars.close, 10) - 1.0,
    "macd_12_26": lambda bars: talib.MACD(bars.close, 12, 26, 9)[0] / bars.close,
    "macd_histogram_9": lambda bars: talib.MACD(bars.close, 12, 26, 9)[2] / bars.close,
    "adx_14": lambda bars: talib.ADX(bars.high, bars.low, bars.close, 14),
    "plus_di_14": lambda bars: talib.PLUS_DI(bars.high, bars.low, bars.close, 14),
    "minus_di_14": lambda bars: talib.MINUS_DI(bars.high, bars.low, bars.close, 14),
    "aroon_up_14": lambda bars: talib.AROON(bars.high, bars.low, 14)[1],
    "aroon_down_14": lambda bars: talib.AROON(bars.high, bars.low, 14)[0],
    "slope_20": lambda bars: talib.LINEARREG_SLOPE(bars.close, 20) / bars.close,
    "trix_15": lambda bars: talib.TRIX(bars.close, 15),
}


@pytest.mark.parametrize("name", ORACLES)
def test_trend_column_when_computed_bar_by_bar_then_equals_talib(
    agrees: Callable[..., None], name: str
) -> None:
    """Seeds included: the first value stands at the same bar and is the same."""
    agrees(name, ORACLES[name])


def test_aroon_when_extremes_are_equal_then_counts_from_the_latest() -> None:
    """On a coarse price grid highs tie all the time; TA-Lib counts from the latest of them."""
    walk = random_walk(120, 1, seed=3)
    grid = Bars(*(np.round(column / walk.close[0] * 50.0) for column in walk))
    features = fold(grid)[:, 0]
    down, up = talib.AROON(grid.high[:, 0].copy(), grid.low[:, 0].copy(), 14)
    np.testing.assert_allclose(features[:, NAMES.index("aroon_up_14")], up, rtol=1e-12)
    np.testing.assert_allclose(features[:, NAMES.index("aroon_down_14")], down, rtol=1e-12)
