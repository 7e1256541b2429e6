"""The last bars of each symbol, as the specialists' attention looks back on them.

The window holds unscaled features and nothing of a model, so it outlives a change of models. It
counts a symbol's own bars, whatever time lies between them.
"""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices, Mask
from models.errors import ShapeError
from models.features.catalogue import NAMES

LENGTH_BARS = 16
"""Bars in a window, the current one included; fewer than a split's gap, see ``split``."""

ATTENDED = (
    "return_1",
    "overnight_gap",
    "bar_range",
    "return_score_21",
    "rsi_7",
    "volatility_5",
    "volume_ratio_5_63",
    "vwap_distance",
)
"""What is remembered of a bar: features that say what happened in it. Longer ones overlap so much
from bar to bar that sixteen of them say little more than the last."""

COLUMNS: Indices = np.array([NAMES.index(name) for name in ATTENDED], np.int64)


class WindowState(NamedTuple):
    """What a fold over bars remembers: 1,024 bytes a symbol.

    Attributes
    ----------
    bars : (n_symbols, 16, 8)
        The features ``ATTENDED`` of each symbol's last bars, the oldest first; NaN where the symbol
        has had fewer bars, or where a feature was still warming up.
    """

    bars: Floats


def initial_state(n_symbols: int) -> WindowState:
    """Start every symbol without bars.

    Examples
    --------
    >>> initial_state(2).bars.shape
    (2, 16, 8)
    """
    return WindowState(np.full((n_symbols, LENGTH_BARS, len(ATTENDED)), np.nan))


def step(state: WindowState, rows: Indices, features: Floats) -> tuple[WindowState, Floats]:
    """Push one bar of each symbol in ``rows`` into its window.

    Parameters
    ----------
    state : WindowState
        Not changed.
    rows : (n,)
        Each row's symbol, without repetition.
    features : (n, 60)
        All pipeline features; a NaN is remembered as one.

    Returns
    -------
    state : WindowState
    windows : (n, 16, 8)
        Of the symbols in ``rows``, the current bar last.

    Raises
    ------
    ShapeError
        If rows and features do not belong together, or these are not the pipeline's.

    Examples
    --------
    >>> state, windows = step(initial_state(2), np.array([1]), np.zeros((1, 60)))
    >>> np.isfinite(windows).any(axis=2).sum().item(), np.isfinite(state.bars[0]).any().item()
    (1, False)
    """
    if features.shape != (len(rows), len(NAMES)):
        raise ShapeError(f"features must be ({len(rows)}, {len(NAMES)}), was {features.shape}")
    bars = state.bars.copy()
    bars[rows, :-1] = state.bars[rows, 1:]
    bars[rows, -1] = features[:, COLUMNS]
    return WindowState(bars), bars[rows]


class Unrolled(NamedTuple):
    """A history's windows without their overlap.

    Attributes
    ----------
    bars : (n_rows, 8)
        Symbol after symbol, each one's own bars in time order behind 15 rows of NaN.
    ends : (n_bars, n_symbols)
        int64 row of each bar, the last of its window; -1 where the symbol has no bar. The window is
        ``bars[end - 15 : end + 1]``.
    """

    bars: Floats
    ends: Indices


def unrolled(features: Floats, present: Mask) -> Unrolled:
    """Lay out the windows of a whole history, the same that ``step`` gives bar by bar.

    Parameters
    ----------
    features : (n_bars, n_symbols, 60)
    present : (n_bars, n_symbols)
        Where the symbol has a bar.

    Returns
    -------
    Unrolled

    Raises
    ------
    ShapeError
        If the two do not belong together.

    Examples
    --------
    >>> unrolled(np.zeros((3, 1, 60)), np.array([[True], [False], [True]])).ends.tolist()
    [[15], [-1], [16]]
    """
    if features.shape != (*present.shape, len(NAMES)):
        raise ShapeError(
            f"features must be {(*present.shape, len(NAMES))} beside present {present.shape}, "
            f"was {features.shape}"
        )
    empty = np.full((LENGTH_BARS - 1, len(ATTENDED)), np.nan)
    ends = np.full(present.shape, -1, np.int64)
    parts: list[Floats] = []
    n_rows = 0
    for symbol in range(present.shape[1]):
        at = np.flatnonzero(present[:, symbol])
        ends[at, symbol] = n_rows + len(empty) + np.arange(len(at))
        parts += [empty, features[at, symbol][:, COLUMNS]]
        n_rows += len(empty) + len(at)
    return Unrolled(np.concatenate([empty[:0], *parts]), ends)
