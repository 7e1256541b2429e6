"""Momentum: how one-sided the latest moves were; oscillators in points, neutral when still."""

from typing import NamedTuple

import numpy as np

from models.features.arithmetic import FloatArray, above_noise, ratio, window_sum
from models.features.moment import Moment
from models.features.sliding import SlidingBank, SlidingState
from models.features.smoothing import SmoothingBank, wilder

_RSI_BARS = (7, 14, 21)
_STRENGTH = SmoothingBank(tuple(wilder(period) for period in _RSI_BARS * 2))

# Buying pressure and true range over the ultimate oscillator's three windows, then the path.
_PATHS = SlidingBank(np.add, (7, 14, 28, 7, 14, 28, 21))
_ULTIMATE_WEIGHTS = (4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0)

_STOCHASTIC_BARS = 14
_CCI_BARS = 20
_EFFICIENCY_BARS = 21


class MomentumState(NamedTuple):
    """Averages and sums in progress, symbol last.

    `strength` (6, n_symbols): Wilder's average gains, then losses, of 7, 14 and 21 bars; `paths`:
    the seven sums; `stochastics` (4, n_symbols): the last four raw stochastics, oldest first.
    """

    strength: FloatArray
    paths: SlidingState
    stochastics: FloatArray


def blank(n_symbols: int) -> MomentumState:
    """Give the state before any bar."""
    return MomentumState(
        _STRENGTH.blank(n_symbols), _PATHS.blank(n_symbols), np.full((4, n_symbols), np.nan)
    )


def step(state: MomentumState, moment: Moment) -> list[FloatArray]:
    """Give the 9 momentum columns of the catalogue's order, (n_rows,) each; write the state."""
    change = moment.bars.close - moment.previous_close
    ultimate, efficiency = _paths(state.paths, moment, change)
    return [
        *_relative_strength(state.strength, moment, change),
        *_stochastic(state.stochastics, moment),
        _commodity_channel(moment.typicals[-_CCI_BARS:]),
        ultimate,
        efficiency,
    ]


def _relative_strength(
    averages: FloatArray, moment: Moment, change: FloatArray
) -> tuple[FloatArray, ...]:
    """Give RSI of 7, 14 and 21 bars (Wilder, 1978): 50 where the price never moved."""
    gain, loss = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    smooth = _STRENGTH.step(
        averages, moment.rows, moment.n_bars, np.array((gain,) * 3 + (loss,) * 3)
    )
    gains, losses = smooth[:3], smooth[3:]
    return tuple(100.0 * ratio(gains, gains + losses, 0.5))


def _stochastic(past: FloatArray, moment: Moment) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give slow %K and %D (14, 3, 3; Lane, 1984) and Williams %R (1973); middle when flat."""
    highest = moment.highs[-_STOCHASTIC_BARS:].max(axis=0)
    lowest = moment.lows[-_STOCHASTIC_BARS:].min(axis=0)
    raw = 100.0 * ratio(moment.bars.close - lowest, highest - lowest, 0.5)
    first, second, third, fourth = past[:, moment.rows]
    slow = (third + fourth + raw) / 3.0
    slower = (first + 2.0 * second + 3.0 * third + 2.0 * fourth + raw) / 9.0
    past[:, moment.rows] = (second, third, fourth, raw)
    return slow, slower, raw - 100.0


def _commodity_channel(typicals: FloatArray) -> FloatArray:
    """Give the commodity channel index (Lambert, 1980); 0 where the typical price is constant."""
    mean = window_sum(typicals) / _CCI_BARS
    spread = window_sum(np.abs(typicals - mean)) / _CCI_BARS
    return ratio(typicals[-1] - mean, 0.015 * above_noise(spread, mean), 0.0)


def _paths(sums: SlidingState, moment: Moment, change: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the ultimate oscillator (Williams, 1985) and Kaufman's (1995) efficiency ratio."""
    pressure = moment.bars.close - np.minimum(moment.bars.low, moment.previous_close)
    breadth = moment.true_range
    totals = _PATHS.step(
        sums,
        moment.rows,
        moment.n_bars,
        np.array((pressure,) * 3 + (breadth,) * 3 + (np.abs(change),)),
    )
    short, middle, long = ratio(totals[:3], totals[3:6], 0.5)
    weights = _ULTIMATE_WEIGHTS
    ultimate = 100.0 * (weights[0] * short + weights[1] * middle + weights[2] * long)
    straight = np.abs(moment.bars.close - moment.closes[-_EFFICIENCY_BARS - 1])
    return ultimate, ratio(straight, totals[6], 0.0)
