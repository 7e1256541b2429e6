"""Volatility: how far prices move, whichever way; per bar, never annualised."""

from typing import NamedTuple

import numpy as np

from models.features.arithmetic import (
    FloatArray,
    above_noise,
    centred,
    deviation,
    ratio,
    window_sum,
)
from models.features.moment import MONTH_BARS, Moment
from models.features.sliding import SlidingBank, SlidingState
from models.features.smoothing import SmoothingBank, wilder

_TRUE_RANGE = SmoothingBank((wilder(14),))
_RANGES = SlidingBank(np.add, (MONTH_BARS, MONTH_BARS))
_WEEK_BARS = 5
_BOLLINGER_BARS = 20
_BANDS = 2.0
_PARKINSON = 1.0 / (4.0 * np.log(2.0))
_GARMAN_KLASS = 2.0 * np.log(2.0) - 1.0


class VolatilityState(NamedTuple):
    """Wilder's average true range (1, n_symbols); sums of Parkinson's and Garman-Klass' terms."""

    true_range: FloatArray
    ranges: SlidingState


def blank(n_symbols: int) -> VolatilityState:
    """Give the state before any bar."""
    return VolatilityState(_TRUE_RANGE.blank(n_symbols), _RANGES.blank(n_symbols))


def step(state: VolatilityState, moment: Moment) -> list[FloatArray]:
    """Give the 10 volatility columns of the catalogue's order, (n_rows,) each; write the state."""
    (average_range,) = _TRUE_RANGE.step(
        state.true_range, moment.rows, moment.n_bars, moment.true_range
    )
    week = deviation(centred(moment.returns[-_WEEK_BARS:]), 1)
    falls = np.minimum(moment.returns[-MONTH_BARS:], 0.0)
    return [
        average_range / moment.bars.close,
        week,
        moment.volatility_21,
        moment.volatility_63,
        ratio(week, above_noise(moment.volatility_63), 1.0),
        np.sqrt(window_sum(falls * falls) / MONTH_BARS),
        *_from_ranges(state.ranges, moment),
        *_bollinger(moment.closes[-_BOLLINGER_BARS:]),
    ]


def _from_ranges(sums: SlidingState, moment: Moment) -> tuple[FloatArray, FloatArray]:
    """Give Parkinson's (1980) and Garman and Klass' (1980) volatility over 21 bars.

    A window of bars that opened and closed far apart within narrow ranges cannot occur (low <=
    open, close <= high), so every Garman-Klass term is at least 0.11 range_log^2, never negative.
    """
    squared_range = moment.range_log * moment.range_log
    terms = np.array(
        (
            _PARKINSON * squared_range,
            0.5 * squared_range - _GARMAN_KLASS * moment.body_log * moment.body_log,
        )
    )
    parkinson, garman_klass = np.sqrt(
        _RANGES.step(sums, moment.rows, moment.n_bars, terms) / MONTH_BARS
    )
    return parkinson, garman_klass


def _bollinger(closes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the bands' width over their middle and the close's place in them (Bollinger, 2001).

    The place is 0 at the lower band, 1 at the upper, 0.5 where the bands have no width.
    """
    mean = window_sum(closes) / _BOLLINGER_BARS
    reach = _BANDS * above_noise(deviation(centred(closes), 0), mean)
    return 2.0 * reach / mean, 0.5 + 0.5 * ratio(closes[-1] - mean, reach, 0.0)
