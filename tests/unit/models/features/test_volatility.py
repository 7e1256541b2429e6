"""Volatility columns against TA-Lib and the formulas of their papers, window by window."""

from collections.abc import Callable
from math import log, sqrt

import numpy as np
import pytest
import talib

from models.features.bars import Bars
from tests.unit.models.features.conftest import Floats, Oracle, log_returns, rolling


def realised(bars: Bars, window: int) -> Floats:
    """Sample deviation of one-bar log returns."""
    return rolling(window, lambda returns: float(np.std(returns, ddof=1)), log_returns(bars.close))


def downside(bars: Bars) -> Floats:
    """Root mean square of the negative returns over all 21."""
    return rolling(
        21,
        lambda returns: (
            sqrt(sum(r * r for r in returns if r < 0.0) / 21)
            if not np.isnan(returns[0])
            else np.nan
        ),
        log_returns(bars.close),
    )


def parkinson(bars: Bars) -> Floats:
    """Parkinson 1980: mean squared log range over 4 ln 2."""
    return rolling(
        21,
        lambda high, low: sqrt(float(np.mean(np.log(high / low) ** 2)) / (4.0 * log(2.0))),
        bars.high,
        bars.low,
    )


def garman_klass(bars: Bars) -> Floats:
    """Garman and Klass 1980, the practical estimator."""
    return rolling(
        21,
        lambda open_, high, low, close: sqrt(
            float(
                np.mean(
                    np.log(high / low) ** 2 / 2.0
                    - (2.0 * log(2.0) - 1.0) * np.log(close / open_) ** 2
                )
            )
        ),
        bars.open,
        bars.high,
        bars.low,
        bars.close,
    )


def bollinger_width(bars: Bars) -> Floats:
    """TA-Lib's bands, their distance over the middle."""
    upper, middle, lower = talib.BBANDS(bars.close, 20, 2.0, 2.0)
    return (upper - lower) / middle


def bollinger_place(bars: Bars) -> Floats:
    """TA-Lib's bands, the close between them."""
    upper, _, lower = talib.BBANDS(bars.close, 20, 2.0, 2.0)
    return (bars.close - lower) / (upper - lower)


ORACLES: dict[str, Oracle] = {
    "atr_14": lambda bars: talib.ATR(bars.high, bars.low, bars.close, 14) / bars.close,
    "volatility_5": lambda bars: realised(bars, 5),
    "volatility_21": lambda bars: realised(bars, 21),
    "volatility_63": lambda bars: realised(bars, 63),
    "volatility_ratio_5_63": lambda bars: realised(bars, 5) / realised(bars, 63),
    "downside_volatility_21": downside,
    "parkinson_21": parkinson,
    "garman_klass_21": garman_klass,
    "bollinger_width_20": bollinger_width,
    "bollinger_place_20": bollinger_place,
}


@pytest.mark.parametrize("name", ORACLES)
def test_volatility_column_when_computed_bar_by_bar_then_equals_its_oracle(
    agrees: Callable[..., None], name: str
) -> None:
    """Every window is computed anew here, and running there."""
    agrees(name, ORACLES[name])
