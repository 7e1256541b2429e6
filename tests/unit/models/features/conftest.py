"""A seeded tape with a late symbol and a gappy one, and how to compare a column with an oracle."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.features.pipeline import fold

Floats = NDArray[np.float64]
Oracle = Callable[[Bars], Floats]


def random_walk(n_bars: int, n_symbols: int, seed: int) -> Bars:
    """Draw bars (n_bars, n_symbols): lognormal closes, ranges around them, whole volumes."""
    draw = np.random.default_rng(seed)
    shape = (n_bars, n_symbols)
    scale = 10.0 ** np.linspace(-2.0, 5.0, n_symbols)
    close = scale * np.exp(np.cumsum(draw.normal(0.0002, 0.015, shape), axis=0))
    before = np.vstack((scale[None, :] * np.ones((1, n_symbols)), close[:-1]))
    open_ = before * np.exp(draw.normal(0.0, 0.004, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, 0.005, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, 0.005, shape)))
    volume = np.floor(draw.lognormal(10.0, 0.8, shape))
    return Bars(open_, high, low, close, volume, (high + low + 2.0 * close) / 4.0)


def without(bars: Bars, absent: NDArray[np.bool_]) -> Bars:
    """Take bars off the tape: NaN in all six columns."""
    return Bars(*(np.where(absent, np.nan, column) for column in bars))


@pytest.fixture(scope="session")
def walk() -> Bars:
    """Give 420 bars of 3 symbols: the second comes at bar 40, the third lacks a bar in ten."""
    bars = random_walk(420, 3, seed=11)
    absent = np.zeros((420, 3), dtype=bool)
    absent[:40, 1] = True
    absent[:, 2] = np.random.default_rng(12).random(420) < 0.1
    return without(bars, absent)


@pytest.fixture(scope="session")
def features(walk: Bars) -> Floats:
    """Give the walk's features, (420, 3, 60)."""
    return fold(walk)


@pytest.fixture(scope="session")
def agrees(walk: Bars, features: Floats) -> Callable[[str, Oracle], None]:
    """Give a check of one column against an oracle on each symbol's own bars.

    The oracle sees one symbol's bars without gaps, columns (n,), and answers (n,) with NaN where it
    has no value yet; both must begin at the same bar and agree to 1e-9 from there.
    """

    def check(name: str, oracle: Oracle) -> None:
        for symbol in range(3):
            present = ~np.isnan(walk.close[:, symbol])
            bars = Bars(*(column[present, symbol].copy() for column in walk))
            column = features[present, symbol, NAMES.index(name)]
            np.testing.assert_allclose(
                column, oracle(bars), rtol=1e-9, atol=1e-13, err_msg=f"{name} of symbol {symbol}"
            )

    return check


def rolling(window: int, function: Callable[..., float], *columns: Floats) -> Floats:
    """Apply a function to every full window of the columns, (n,) -> (n,), NaN before the first."""
    answer = np.full(len(columns[0]), np.nan)
    for end in range(window, len(answer) + 1):
        answer[end - 1] = function(*(column[end - window : end] for column in columns))
    return answer


def log_returns(close: Floats, lag: int = 1) -> Floats:
    """Give ln(close_t / close_{t-lag}), NaN in the first `lag` bars."""
    return np.concatenate((np.full(lag, np.nan), np.log(close[lag:] / close[:-lag])))
