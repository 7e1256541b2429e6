"""Distribution: the shape of recent returns, and where the price stands between its extremes."""

import numpy as np

from models.features.arithmetic import FloatArray, above_noise, ratio, window_sum
from models.features.moment import MONTH_BARS, QUARTER_BARS, Moment
from models.features.sliding import SlidingBank, SlidingState

# The lowest low is minus the highest negated low, so one bank of maxima does for both.
_EXTREMES = SlidingBank(np.maximum, (252, 252))


def blank(n_symbols: int) -> SlidingState:
    """Give the state before any bar."""
    return _EXTREMES.blank(n_symbols)


def step(state: SlidingState, moment: Moment) -> list[FloatArray]:
    """Give the 8 distribution columns of the catalogue's order, (n_rows,) each; write the state."""
    highest, negated_lowest = _EXTREMES.step(
        state, moment.rows, moment.n_bars, np.array((moment.bars.high, -moment.bars.low))
    )
    rises = moment.returns[-MONTH_BARS:] > 0.0
    spread = above_noise(moment.volatility_21)
    return [
        *_skew_and_kurtosis(moment.differences_63),
        _drawdown(moment.closes),
        moment.bars.close / highest - 1.0,
        moment.bars.close / -negated_lowest - 1.0,
        rises.sum(axis=0) / MONTH_BARS,
        _autocorrelation(moment.differences_21, spread),
        ratio(moment.differences_21[-1], spread, 0.0),
    ]


def _skew_and_kurtosis(differences: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give Fisher's g1 and g2 of centred windows (population; g2 over 3); 0 where constant."""
    squares = differences * differences
    spread = above_noise(np.sqrt(window_sum(squares) / QUARTER_BARS))
    variance = spread * spread
    third = window_sum(squares * differences) / QUARTER_BARS
    fourth = window_sum(squares * squares) / QUARTER_BARS
    return ratio(third, variance * spread, 0.0), ratio(fourth, variance * variance, 3.0) - 3.0


def _drawdown(closes: FloatArray) -> FloatArray:
    """Give the deepest fall from an earlier close within the window, a fraction in [0, 1)."""
    peaks = closes.copy()
    for bar in range(1, len(closes)):
        np.maximum(peaks[bar - 1], closes[bar], out=peaks[bar])
    kept: FloatArray = (closes / peaks).min(axis=0)
    return 1.0 - kept


def _autocorrelation(differences: FloatArray, spread: FloatArray) -> FloatArray:
    """Give the first autocorrelation of centred windows; 0 where they are constant."""
    lagged = window_sum(differences[1:] * differences[:-1])
    return ratio(lagged, (len(differences) - 1) * spread * spread, 0.0)
