"""Momentum columns against TA-Lib and, for the efficiency ratio, its definition."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from models.features.bars import Bars
from tests.unit.models.features.conftest import Oracle, rolling


def efficiency(bars: Bars) -> np.ndarray:
    """Kaufman: the straight way over the way walked, of 21 steps."""
    return rolling(
        22,
        lambda closes: float(abs(closes[-1] - closes[0]) / np.abs(np.diff(closes)).sum()),
        bars.close,
    )


ORACLES: dict[str, Oracle] = {
    "rsi_7": lambda bars: talib.RSI(bars.close, 7),
    "rsi_14": lambda bars: talib.RSI(bars.close, 14),
    "rsi_21": lambda bars: talib.RSI(bars.close, 21),
    "stochastic_k_14": lambda bars: talib.STOCH(bars.high, bars.low, bars.close, 14, 3, 0, 3, 0)[0],
    "stochastic_d_14": lambda bars: talib.STOCH(bars.high, bars.low, bars.close, 14, 3, 0, 3, 0)[1],
    "williams_r_14": lambda bars: talib.WILLR(bars.high, bars.low, bars.close, 14),
    "cci_20": lambda bars: talib.CCI(bars.high, bars.low, bars.close, 20),
    "ultimate_28": lambda bars: talib.ULTOSC(bars.high, bars.low, bars.close, 7, 14, 28),
    "efficiency_21": efficiency,
}


@pytest.mark.parametrize("name", ORACLES)
def test_momentum_column_when_computed_bar_by_bar_then_equals_its_oracle(
    agrees: Callable[..., None], name: str
) -> None:
    """Seeds included: the first value stands at the same bar and is the same."""
    agrees(name, ORACLES[name])
