"""Volume: whether money follows the price; every column is defined on a tape without volume."""

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

# Money that flowed in and out at rising and falling typical prices, accumulation, three volumes.
_SUMS = SlidingBank(np.add, (14, 14, MONTH_BARS, MONTH_BARS, 5, 63))
_RATIO_BARS = (5.0, 63.0)


def blank(n_symbols: int) -> SlidingState:
    """Give the state before any bar."""
    return _SUMS.blank(n_symbols)


def step(state: SlidingState, moment: Moment) -> list[FloatArray]:
    """Give the 7 volume columns of the catalogue's order, (n_rows,) each; write the state."""
    volume = moment.bars.volume
    money = moment.typical * volume
    rise = moment.typical - moment.previous_typical
    values = np.array(
        (
            np.where(rise > 0.0, money, 0.0),
            np.where(rise < 0.0, money, 0.0),
            volume * _close_location(moment),
            volume,
            volume,
            volume,
        )
    )
    inflow, outflow, accumulated, month, week, quarter = _SUMS.step(
        state, moment.rows, moment.n_bars, values
    )
    short, long = _RATIO_BARS
    balances, volumes = centred(_on_balance(moment.flows)), centred(moment.volumes)
    volumes_spread = _spread(volumes, month)
    return [
        ratio(balances[-1], _spread(balances, month), 0.0),
        ratio(volumes[-1], volumes_spread, 0.0),
        ratio(week / short, quarter / long, 0.0),
        ratio(accumulated, month, 0.0),
        100.0 * ratio(inflow, inflow + outflow, 0.5),
        moment.bars.close / moment.bars.vwap - 1.0,
        _correlation(volumes, volumes_spread, moment),
    ]


def _close_location(moment: Moment) -> FloatArray:
    """Give where the close lies in its range: -1 at the low, 1 at the high, 0 in a flat bar."""
    high, low, close = moment.bars.high, moment.bars.low, moment.bars.close
    return ratio((close - low) - (high - close), high - low, 0.0)


def _on_balance(flows: FloatArray) -> FloatArray:
    """Give on-balance volume (Granville, 1963) counted from each window's own first bar.

    A z-score does not see where counting began, so nothing grows and nothing drifts.
    """
    balances = np.zeros_like(flows)
    for bar in range(1, len(flows)):
        np.add(balances[bar - 1], flows[bar], out=balances[bar])
    return balances


def _spread(differences: FloatArray, traded: FloatArray) -> FloatArray:
    """Give the sample deviation of centred volumes; 0 if it is rounding of what was traded."""
    return above_noise(deviation(differences, 1), traded)


def _correlation(differences: FloatArray, spread: FloatArray, moment: Moment) -> FloatArray:
    """Give the 21-bar correlation of volumes and returns; 0 where either is constant."""
    covariance = window_sum(differences * moment.differences_21) / (MONTH_BARS - 1)
    return ratio(covariance, spread * above_noise(moment.volatility_21), 0.0)
