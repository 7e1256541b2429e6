"""Features of longer bars, folded from shorter ones: 5 minutes and an hour beside the minute.

A longer bar opens with the first of its bars, and is closed by the bar that ends with it, or by the
first one behind it. The features are those of :mod:`models.features.pipeline` on the longer bars,
by the same code: a stack that runs in that timeframe on these bars has the same bits.
"""

from typing import NamedTuple

import numpy as np

from models.features.arithmetic import FloatArray, IntArray
from models.features.bars import Bars, check
from models.features.catalogue import CATALOGUE
from models.features.pipeline import FeatureState, initial_state
from models.features.pipeline import step as step_features

NONE_NS = -1


class LongerState(NamedTuple):
    """The open bar of each symbol, the features behind the last closed one, and those themselves.

    ``close_ns`` is when the open bars end, -1 while there are none. ``bars`` (n_symbols,) each are
    the open bars, whose ``vwap`` holds the sum of volume times vwap; ``means`` (n_symbols,) is the
    sum of mean prices by tick, and ``n_ticks`` (n_symbols,) is 0 where no bar is open. ``latest``
    (n_symbols, 60) are the features at ``latest_ns`` (n_symbols,), which is -1 before the first.
    """

    close_ns: int
    bars: Bars
    means: FloatArray
    n_ticks: IntArray
    features: FeatureState
    latest: FloatArray
    latest_ns: IntArray


def initial_longer(n_symbols: int) -> LongerState:
    """Give the state of symbols that have had no bar yet."""
    return LongerState(
        close_ns=NONE_NS,
        bars=Bars(*(np.zeros(n_symbols) for _ in Bars._fields)),
        means=np.zeros(n_symbols),
        n_ticks=np.zeros(n_symbols, np.int64),
        features=initial_state(n_symbols),
        latest=np.full((n_symbols, len(CATALOGUE)), np.nan),
        latest_ns=np.full(n_symbols, NONE_NS, np.int64),
    )


class Shorter(NamedTuple):
    """The bars that close at one time: who has one, the bars, and their ticks, (n_rows,) each."""

    close_ns: int
    rows: IntArray
    bars: Bars
    n_ticks: IntArray


def step_longer(state: LongerState, timeframe_ns: int, shorter: Shorter) -> LongerState:
    """Take the bars of one close into the longer ones, and close these when their time has come.

    Parameters
    ----------
    state
        Donated, as in :func:`models.features.pipeline.step`.
    timeframe_ns
        Length of the longer bars, a multiple of the shorter.
    shorter
        Bars in order of time; none of a symbol that did not trade.

    Raises
    ------
    ShapeError, NotFinite
        See `models.features.bars.check`; the state is untouched then.
    """
    check(shorter.rows, shorter.bars, len(state.n_ticks))
    ends_ns = -(-shorter.close_ns // timeframe_ns) * timeframe_ns
    if state.close_ns not in (NONE_NS, ends_ns):
        state = _closed(state)
    _add(state, shorter)
    state = state._replace(close_ns=ends_ns)
    return _closed(state) if shorter.close_ns == ends_ns else state


def _add(state: LongerState, shorter: Shorter) -> None:
    """Put bars into the open ones; sums run in order of time."""
    rows, bars, ours = shorter.rows, shorter.bars, state.bars
    is_new = state.n_ticks[rows] == 0
    new = rows[is_new]
    ours.open[new] = bars.open[is_new]
    ours.high[new] = bars.high[is_new]
    ours.low[new] = bars.low[is_new]
    ours.volume[new] = ours.vwap[new] = state.means[new] = 0.0
    ours.high[rows] = np.maximum(ours.high[rows], bars.high)
    ours.low[rows] = np.minimum(ours.low[rows], bars.low)
    ours.close[rows] = bars.close
    ours.volume[rows] += bars.volume
    ours.vwap[rows] += bars.vwap * bars.volume
    state.means[rows] += bars.vwap * shorter.n_ticks
    state.n_ticks[rows] += shorter.n_ticks


def _closed(state: LongerState) -> LongerState:
    """Close the open bars: their features are the latest."""
    rows = np.flatnonzero(state.n_ticks)
    folded = Bars(*(column[rows] for column in state.bars))
    traded = folded.volume > 0
    # As models.bars does: by volume, without one by ticks, and rounding never leaves the range.
    mean = np.where(
        traded,
        folded.vwap / np.where(traded, folded.volume, 1.0),
        state.means[rows] / state.n_ticks[rows],
    )
    vwap = np.minimum(np.maximum(mean, folded.low), folded.high)
    features, latest = step_features(state.features, rows, folded._replace(vwap=vwap))
    state.latest[rows] = latest
    state.latest_ns[rows] = state.close_ns
    state.n_ticks[rows] = 0
    return state._replace(close_ns=NONE_NS, features=features)
