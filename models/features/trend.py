"""Trend: where the price stands against its averages, and whether it goes anywhere."""

from typing import NamedTuple

import numpy as np

from models.features.arithmetic import FloatArray, IntArray, ratio, window_sum
from models.features.moment import Moment
from models.features.sliding import SlidingBank, SlidingState
from models.features.smoothing import Average, SmoothingBank, exponential, wilder

_SIMPLE = SlidingBank(np.add, (20, 50, 100, 200))
_SIMPLE_BARS = np.array(_SIMPLE.windows)[:, None]

# Columns: 5 and 10 bars, MACD's fast and slow, TRIX's first of three. MACD's fast average is seeded
# late, so that both have their first value at bar 26 (TA-Lib's convention).
_PRICE = SmoothingBank(
    (exponential(5), exponential(10), exponential(12, 14), exponential(26), exponential(15))
)
_SECOND = SmoothingBank((exponential(9, 25), exponential(15, 14)))
_THIRD = SmoothingBank((exponential(15, 28),))

# Wilder's sums of 14 begin with 13 terms in TA-Lib; the divisor makes an average of them.
_DIRECTION = SmoothingBank((Average(1.0 / 14, 13, 14, 1),) * 3)
_STRENGTH = SmoothingBank((wilder(14, 14),))

_AROON_BARS = 14
_SLOPE_BARS = 20
_SLOPE_TIMES = np.arange(_SLOPE_BARS) - (_SLOPE_BARS - 1) / 2.0
_SLOPE_WEIGHTS = (_SLOPE_TIMES / (_SLOPE_TIMES * _SLOPE_TIMES).sum())[:, None]


class TrendState(NamedTuple):
    """Averages in progress, symbol last; see the banks above for the columns."""

    simple: SlidingState
    price: FloatArray
    second: FloatArray
    third: FloatArray
    direction: FloatArray
    strength: FloatArray


def blank(n_symbols: int) -> TrendState:
    """Give the state before any bar."""
    return TrendState(
        _SIMPLE.blank(n_symbols),
        _PRICE.blank(n_symbols),
        _SECOND.blank(n_symbols),
        _THIRD.blank(n_symbols),
        _DIRECTION.blank(n_symbols),
        _STRENGTH.blank(n_symbols),
    )


def step(state: TrendState, moment: Moment) -> list[FloatArray]:
    """Give the 15 trend columns of the catalogue's order, (n_rows,) each; write the state."""
    close = moment.bars.close
    sums = _SIMPLE.step(state.simple, moment.rows, moment.n_bars, np.array((close,) * 4))
    simple = close * _SIMPLE_BARS / sums - 1.0
    price = _PRICE.step(state.price, moment.rows, moment.n_bars, close)
    macd = price[2] - price[3]
    triple_before = state.third[0, moment.rows]
    second = _SECOND.step(state.second, moment.rows, moment.n_bars, np.array((macd, price[4])))
    triple = _THIRD.step(state.third, moment.rows, moment.n_bars, second[1])[0]
    return [
        *simple,
        *(close / price[:2] - 1.0),
        macd / close,
        (macd - second[0]) / close,
        *_directional(state, moment),
        *_aroon(moment.highs, moment.lows),
        _slope(moment.closes[-_SLOPE_BARS:]),
        100.0 * (ratio(triple, triple_before, 1.0) - 1.0),
    ]


def _directional(state: TrendState, moment: Moment) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give ADX, +DI and -DI of 14 bars in points (Wilder, 1978); 0 where nothing moved."""
    up = moment.bars.high - moment.previous_high
    down = moment.previous_low - moment.bars.low
    moves = np.array(
        (
            np.where((up > down) & (up > 0.0), up, 0.0),
            np.where((down > up) & (down > 0.0), down, 0.0),
            moment.true_range,
        )
    )
    rise, fall, breadth = _DIRECTION.step(state.direction, moment.rows, moment.n_bars, moves)
    plus, minus, strength = 100.0 * ratio(
        np.array((rise, fall, np.abs(rise - fall))), np.array((breadth, breadth, rise + fall)), 0.0
    )
    (adx,) = _STRENGTH.step(state.strength, moment.rows, moment.n_bars, strength)
    return adx, plus, minus


def _aroon(highs: FloatArray, lows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give Aroon up and down in points (Chande, 1995): 100 where the extreme is this bar's.

    Of equal extremes the latest counts.
    """
    ages: tuple[IntArray, IntArray] = (
        highs[: -_AROON_BARS - 2 : -1].argmax(axis=0),
        lows[: -_AROON_BARS - 2 : -1].argmin(axis=0),
    )
    up, down = (100.0 * (_AROON_BARS - age) / _AROON_BARS for age in ages)
    return up, down


def _slope(closes: FloatArray) -> FloatArray:
    """Give the least-squares slope per bar as a part of the last close; exactly 0 if constant."""
    last: FloatArray = closes[-1]
    return window_sum((closes - last) * _SLOPE_WEIGHTS) / last
