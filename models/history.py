"""The bars of many symbols over time: what models are fitted on."""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices
from models.errors import NotFinite, ShapeError

PRICES = ("open", "high", "low", "close", "volume", "vwap")


class BarHistory(NamedTuple):
    """Bars on one grid of closing times.

    Attributes
    ----------
    symbols : tuple of str
        In the order of the second axis.
    close_ns : (n_bars,)
        int64 closing times in nanoseconds since the epoch, rising strictly.
    open, high, low, close, volume, vwap : (n_bars, n_symbols)
        NaN in all six where the symbol has no bar: before its listing, after its end, in a gap.
    """

    symbols: tuple[str, ...]
    close_ns: Indices
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats


def next_returns(history: BarHistory) -> Floats:
    """Return from each bar's close to that of the next bar.

    Parameters
    ----------
    history : BarHistory

    Returns
    -------
    (n_bars, n_symbols)
        Fractions; NaN in the last bar and wherever this or the next bar is missing.
    """
    returns = np.full(history.close.shape, np.nan)
    returns[:-1] = history.close[1:] / history.close[:-1] - 1.0
    return returns


def check(history: BarHistory) -> None:
    """Refuse a history that contradicts itself.

    Raises
    ------
    ShapeError
        If shapes disagree, a symbol stands twice, or times are unsorted or duplicate.
    NotFinite
        If a bar is incomplete: some of its values are known and others are not.
    """
    shape = (len(history.close_ns), len(history.symbols))
    for name in PRICES:
        if getattr(history, name).shape != shape:
            raise ShapeError(f"{name} must be {shape}, was {getattr(history, name).shape}")
    if len(set(history.symbols)) < len(history.symbols):
        raise ShapeError(f"every symbol must stand once, was {', '.join(history.symbols)}")
    backward = np.flatnonzero(np.diff(history.close_ns) <= 0)
    if len(backward):
        bar = int(backward[0]) + 1
        raise ShapeError(
            f"closing times must rise strictly: bar {bar} closes at {history.close_ns[bar]} ns, "
            f"the bar before it at {history.close_ns[bar - 1]} ns"
        )
    values = np.stack([getattr(history, name) for name in PRICES])
    wrong = ~np.isfinite(values) & ~np.all(np.isnan(values), axis=0)
    if wrong.any():
        bar, column = (int(position) for position in np.argwhere(np.any(wrong, axis=0))[0])
        names = [name for name, bad in zip(PRICES, wrong[:, bar, column], strict=True) if bad]
        raise NotFinite(
            f"{', '.join(names)} of row {bar} (close {history.close_ns[bar]} ns), column {column} "
            f"({history.symbols[column]}) must be finite, or all of {', '.join(PRICES)} NaN"
        )
