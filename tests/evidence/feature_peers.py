"""The same columns by two other libraries: TA-Lib over arrays, talipp bar by bar."""

from collections.abc import Callable
from typing import Any

import numpy as np
import talib
from talipp import indicators
from talipp.ohlcv import OHLCV

from models.features.bars import Bars
from tests.evidence.feature_data import Floats

Row = tuple[float, float, float, float, float]


def talib_columns(bars: Bars) -> dict[str, Floats]:
    """Compute what TA-Lib has of the catalogue over one symbol's bars, (n_bars,) each."""
    high, low, close, volume = bars.high, bars.low, bars.close, bars.volume
    macd, _, histogram = talib.MACD(close, 12, 26, 9)
    down, up = talib.AROON(high, low, 14)
    slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0, 0)
    return {
        **{f"return_{lag}": np.log(talib.ROCR(close, lag)) for lag in (1, 5, 21, 63, 252)},
        **{f"sma_distance_{n}": close / talib.SMA(close, n) - 1.0 for n in (20, 50, 100, 200)},
        **{f"ema_distance_{n}": close / talib.EMA(close, n) - 1.0 for n in (5, 10)},
        "macd_12_26": macd / close,
        "macd_histogram_9": histogram / close,
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        "aroon_up_14": up,
        "aroon_down_14": down,
        "slope_20": talib.LINEARREG_SLOPE(close, 20) / close,
        "trix_15": talib.TRIX(close, 15),
        **{f"rsi_{n}": talib.RSI(close, n) for n in (7, 14, 21)},
        "stochastic_k_14": slow_k,
        "stochastic_d_14": slow_d,
        "williams_r_14": talib.WILLR(high, low, close, 14),
        "cci_20": talib.CCI(high, low, close, 20),
        "ultimate_28": talib.ULTOSC(high, low, close, 7, 14, 28),
        "atr_14": talib.ATR(high, low, close, 14) / close,
        "bollinger_width_20": (upper - lower) / middle,
        "bollinger_place_20": (close - lower) / (upper - lower),
        # Without any volume the libraries disagree by definition: 0 there, 50 here.
        **({"mfi_14": talib.MFI(high, low, close, volume, 14)} if volume.any() else {}),
    }


# Column, indicator, whether it reads whole bars, and its last value as ours is defined.
_TALIPP: tuple[tuple[str, Callable[[], Any], bool, Callable[[Any, float], float]], ...] = (
    *(
        (f"sma_distance_{n}", lambda n=n: indicators.SMA(n), False, lambda v, c: c / v - 1.0)
        for n in (20, 50, 100, 200)
    ),
    *(
        (f"ema_distance_{n}", lambda n=n: indicators.EMA(n), False, lambda v, c: c / v - 1.0)
        for n in (5, 10)
    ),
    ("macd_12_26", lambda: indicators.MACD(12, 26, 9), False, lambda v, c: v.macd / c),
    ("adx_14", lambda: indicators.ADX(14, 14), True, lambda v, _: v.adx),
    ("aroon_up_14", lambda: indicators.Aroon(14), True, lambda v, _: v.up),
    ("trix_15", lambda: indicators.TRIX(15), False, lambda v, _: v / 100.0),
    *((f"rsi_{n}", lambda n=n: indicators.RSI(n), False, lambda v, _: v) for n in (7, 14, 21)),
    ("stochastic_k_14", lambda: indicators.Stoch(14, 3), True, lambda v, _: v.d),
    ("williams_r_14", lambda: indicators.Williams(14), True, lambda v, _: v),
    ("cci_20", lambda: indicators.CCI(20), True, lambda v, _: v),
    ("ultimate_28", lambda: indicators.UO(7, 14, 28), True, lambda v, _: v),
    ("atr_14", lambda: indicators.ATR(14), True, lambda v, c: v / c),
    (
        "bollinger_width_20",
        lambda: indicators.BB(20, 2.0),
        False,
        lambda v, _: (v.ub - v.lb) / v.cb,
    ),
)


class Talipp:
    """One symbol's indicators, updated with every bar.

    Parameters
    ----------
    names
        The columns to follow.
    """

    def __init__(self, names: list[str]) -> None:
        self._followed = [
            (name, make(), whole, read) for name, make, whole, read in _TALIPP if name in names
        ]

    def add(self, row: Row) -> dict[str, float]:
        """Take a bar (open, high, low, close, volume) and give the columns at its close."""
        bar, close = OHLCV(*row), row[3]
        values = {}
        for name, indicator, whole, read in self._followed:
            indicator.add(bar if whole else close)
            latest = indicator[-1]
            values[name] = np.nan if latest is None else _known(read, latest, close)
        return values


def _known(read: Callable[[Any, float], float], latest: object, close: float) -> float:
    try:
        return read(latest, close)
    except TypeError:
        # Part of the indicator still warms up and is None.
        return float("nan")


def talipp_columns(bars: Bars) -> dict[str, Floats]:
    """Run talipp over one symbol's bars: (n_bars,) for each of its columns."""
    follower = Talipp([name for name, *_ in _TALIPP])
    rows = zip(*(column.tolist() for column in bars[:5]), strict=True)
    seen = [follower.add(row) for row in rows]
    return {name: np.array([values[name] for values in seen]) for name in seen[0]}
