"""The feature pipeline: bars in, 60 features out, the same code live, in training and in backtest.

`step` is the only way to a feature. It reads one bar per symbol and never a later one, so whatever
is computed from a prefix of the bars is what the whole would have given there. Symbols do not see
each other: a step over many rows gives each of them the bits that a step of its own would give.
"""

from typing import NamedTuple

import numpy as np

from models.errors import ShapeError
from models.features import distribution, momentum, returns, trend, volatility, volume
from models.features.arithmetic import BoolArray, FloatArray, IntArray
from models.features.bars import Bars, check
from models.features.catalogue import CATALOGUE
from models.features.moment import History, blank_history, observe
from models.features.momentum import MomentumState
from models.features.sliding import SlidingState
from models.features.trend import TrendState
from models.features.volatility import VolatilityState

__all__ = ["Bars", "FeatureState", "fold", "initial_state", "ready", "step"]

_WARMUP_BARS = np.array([feature.warmup_bars for feature in CATALOGUE], dtype=np.int64)


class FeatureState(NamedTuple):
    """All that is remembered, float64 and int64 arrays only, the last axis of each the symbol."""

    history: History
    returns: FloatArray
    trend: TrendState
    momentum: MomentumState
    volatility: VolatilityState
    volume: SlidingState
    distribution: SlidingState


def initial_state(n_symbols: int) -> FeatureState:
    """Give the state of `n_symbols` symbols that have had no bar yet."""
    if n_symbols < 0:
        raise ShapeError(f"n_symbols was {n_symbols}, expected 0 or more")
    return FeatureState(
        history=blank_history(n_symbols),
        returns=returns.blank(n_symbols),
        trend=trend.blank(n_symbols),
        momentum=momentum.blank(n_symbols),
        volatility=volatility.blank(n_symbols),
        volume=volume.blank(n_symbols),
        distribution=distribution.blank(n_symbols),
    )


def step(state: FeatureState, rows: IntArray, bars: Bars) -> tuple[FeatureState, FloatArray]:
    """Take one bar of each symbol in `rows`; give the state after it and the features at its close.

    Parameters
    ----------
    state
        Donated: its arrays are written in place and belong to the result. Use the returned state.
    rows
        (n_rows,) int64, strictly increasing: the symbols that have a bar. A symbol that does not
        trade is not in it; its windows count its own bars, whatever time lies between them.
    bars
        The bars, (n_rows,) each, in the order of `rows`. Neither is ever written to.

    Returns
    -------
    tuple[FeatureState, FloatArray]
        The state, and float64 (n_rows, 60) in catalogue order: NaN where a feature warms up,
        finite from its `warmup_bars` on.

    Raises
    ------
    ShapeError, NotFinite
        See `models.features.bars.check`; the state is untouched then.

    Examples
    --------
    >>> from models.features.catalogue import NAMES
    >>> flat = [np.array([price]) for price in (10.0, 10.0, 10.0, 10.0, 500.0, 10.0)]
    >>> state = initial_state(n_symbols=3)
    >>> for bar in range(15):
    ...     state, features = step(state, np.array([2]), Bars(*flat))
    >>> float(features[0, NAMES.index("rsi_14")]), float(features[0, NAMES.index("rsi_21")])
    (50.0, nan)
    """
    check(rows, bars, n_symbols=len(state.history.n_bars))
    moment = observe(state.history, rows, bars)
    columns = [
        *returns.step(state.returns, moment),
        *trend.step(state.trend, moment),
        *momentum.step(state.momentum, moment),
        *volatility.step(state.volatility, moment),
        *volume.step(state.volume, moment),
        *distribution.step(state.distribution, moment),
    ]
    features = np.stack(columns, axis=1)
    features[moment.n_bars[:, None] < _WARMUP_BARS] = np.nan
    return state, features


def ready(features: FloatArray) -> BoolArray:
    """Say which rows of (n_rows, 60) features are complete: bool (n_rows,), True if all finite.

    >>> ready(np.array([[1.0, 2.0], [np.nan, 2.0]])).tolist()
    [True, False]
    """
    return np.asarray(np.isfinite(features).all(axis=1))


def fold(bars: Bars) -> FloatArray:
    """Run many bars of many symbols through `step`: the features of a whole tape, for training.

    Parameters
    ----------
    bars
        Columns of shape (n_bars, n_symbols); a symbol without a bar has NaN in all six.

    Returns
    -------
    FloatArray
        (n_bars, n_symbols, 60), NaN where there is no bar or a feature warms up.

    Raises
    ------
    ShapeError
        The columns are not float64 of one shape with two axes.
    NotFinite
        A bar is impossible, or only some of its six values are NaN.

    Examples
    --------
    >>> fold(Bars(*np.ones((6, 4, 2)))).shape
    (4, 2, 60)
    """
    shapes = {column.shape for column in bars}
    if len(shapes) != 1 or bars.close.ndim != 2:  # noqa: PLR2004  bars and symbols are two axes
        raise ShapeError(f"bars had the shapes {shapes}, expected one (n_bars, n_symbols)")
    n_bars, n_symbols = bars.close.shape
    absent: BoolArray = np.asarray(np.isnan(np.stack(bars)).all(axis=0))
    features = np.full((n_bars, n_symbols, len(CATALOGUE)), np.nan)
    state = initial_state(n_symbols)
    for bar in range(n_bars):
        rows = np.flatnonzero(~absent[bar])
        state, features[bar, rows] = step(
            state, rows, Bars(*(column[bar, rows] for column in bars))
        )
    return features
