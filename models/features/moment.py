"""What all families read at a bar close: the bar, the one before it, the windows up to it."""

from typing import NamedTuple

import numpy as np

from models.features import windows
from models.features.arithmetic import FloatArray, IntArray, centred, deviation, log
from models.features.bars import Bars

MONTH_BARS = 21
QUARTER_BARS = 63


class History(NamedTuple):
    """What is remembered of every symbol for more than one family, symbol last.

    `n_bars` (n_symbols,) int64, bars so far; `previous` (4, n_symbols): the last high, low, close
    and typical price; `month` (42, 5, n_symbols) and `quarter` (126, 2, n_symbols): tapes.
    """

    n_bars: IntArray
    previous: FloatArray
    month: FloatArray
    quarter: FloatArray


class Moment(NamedTuple):
    """One slice as the families see it; one symbol a row.

    Vectors are (n_rows,). `rows` are symbol indices, `n_bars` each symbol's bars with this one.
    What refers to the bar before (`previous_*`, `return_1`, `overnight`, `true_range`) is NaN at a
    symbol's first bar. `range_log` is ln(high / low), `body_log` ln(close / open). Windows end with
    this bar, oldest first, NaN where the symbol has fewer: `highs`, `lows`, `typicals`, `volumes`,
    `flows` (volume signed by the change of the close, 0 at the first bar) are (21, n_rows),
    `closes` and `returns` (63, n_rows). `differences_k` are the last k returns minus their mean,
    (k, n_rows), `volatility_k` their sample deviation.
    """

    rows: IntArray
    n_bars: IntArray
    bars: Bars
    previous_high: FloatArray
    previous_low: FloatArray
    previous_close: FloatArray
    previous_typical: FloatArray
    typical: FloatArray
    true_range: FloatArray
    return_1: FloatArray
    overnight: FloatArray
    range_log: FloatArray
    body_log: FloatArray
    highs: FloatArray
    lows: FloatArray
    typicals: FloatArray
    volumes: FloatArray
    flows: FloatArray
    closes: FloatArray
    returns: FloatArray
    differences_21: FloatArray
    differences_63: FloatArray
    volatility_21: FloatArray
    volatility_63: FloatArray


def blank_history(n_symbols: int) -> History:
    """Give the history of symbols without a bar."""
    return History(
        np.zeros(n_symbols, dtype=np.int64),
        np.full((4, n_symbols), np.nan),
        windows.blank_tape(n_symbols, 5, MONTH_BARS),
        windows.blank_tape(n_symbols, 2, QUARTER_BARS),
    )


def observe(history: History, rows: IntArray, bars: Bars) -> Moment:
    """Write checked bars (n_rows,) into the history, in place; give what the families read."""
    count = history.n_bars[rows] + 1
    history.n_bars[rows] = count
    previous_high, previous_low, previous_close, previous_typical = history.previous[:, rows]
    typical = (bars.high + bars.low + bars.close) / 3.0
    history.previous[:, rows] = (bars.high, bars.low, bars.close, typical)

    return_1, overnight, range_log, body_log = log(
        np.array((bars.close, bars.open, bars.high, bars.close))
        / np.array((previous_close, previous_close, bars.low, bars.open))
    )
    change = np.where(count == 1, 0.0, bars.close - previous_close)
    month = windows.record(
        history.month,
        rows,
        count,
        (bars.high, bars.low, typical, bars.volume, np.sign(change) * bars.volume),
    )
    quarter = windows.record(history.quarter, rows, count, (bars.close, return_1))
    highs, lows, typicals, volumes, flows = month.swapaxes(0, 1)
    closes, returns = quarter.swapaxes(0, 1)
    differences_21, differences_63 = centred(returns[-MONTH_BARS:]), centred(returns)
    return Moment(
        rows=rows,
        n_bars=count,
        bars=bars,
        previous_high=previous_high,
        previous_low=previous_low,
        previous_close=previous_close,
        previous_typical=previous_typical,
        typical=typical,
        true_range=np.maximum(bars.high, previous_close) - np.minimum(bars.low, previous_close),
        return_1=return_1,
        overnight=overnight,
        range_log=range_log,
        body_log=body_log,
        highs=highs,
        lows=lows,
        typicals=typicals,
        volumes=volumes,
        flows=flows,
        closes=closes,
        returns=returns,
        differences_21=differences_21,
        differences_63=differences_63,
        volatility_21=deviation(differences_21, 1),
        volatility_63=deviation(differences_63, 1),
    )
