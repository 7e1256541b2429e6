"""Distribution columns against scipy and their definitions, window by window."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from models.features.bars import Bars
from models.features.catalogue import NAMES
from models.features.pipeline import fold
from tests.unit.models.features.conftest import Floats, Oracle, log_returns, rolling


def drawdown(closes: Floats) -> float:
    """Give the deepest fall over all pairs of an earlier and a later close."""
    return max(
        1.0 - later / earlier for begin, earlier in enumerate(closes) for later in closes[begin:]
    )


def autocorrelation(returns: Floats) -> float:
    """Give the first autocorrelation about the window's one mean."""
    differences = returns - returns.mean()
    return float((differences[1:] * differences[:-1]).sum() / (differences**2).sum())


def up_share(returns: Floats) -> float:
    """Give the part of returns above 0, without an answer where one is missing."""
    return float("nan") if np.isnan(returns).any() else float(np.mean(returns > 0.0))


def over_returns(window: int, function: Callable[[Floats], float]) -> Oracle:
    """Make a function of a window of returns an oracle of bars."""
    return lambda bars: rolling(window, function, log_returns(bars.close))


ORACLES: dict[str, Oracle] = {
    "skew_63": over_returns(63, scipy.stats.skew),
    "kurtosis_63": over_returns(63, scipy.stats.kurtosis),
    "drawdown_63": lambda bars: rolling(63, drawdown, bars.close),
    "high_distance_252": lambda bars: bars.close / rolling(252, np.max, bars.high) - 1.0,
    "low_distance_252": lambda bars: bars.close / rolling(252, np.min, bars.low) - 1.0,
    "up_share_21": over_returns(21, up_share),
    "autocorrelation_21": over_returns(21, autocorrelation),
    "return_score_21": over_returns(
        21, lambda returns: float((returns[-1] - returns.mean()) / returns.std(ddof=1))
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_distribution_column_when_computed_bar_by_bar_then_equals_its_oracle(
    agrees: Callable[..., None], name: str
) -> None:
    """Every window is computed anew here, and running there."""
    agrees(name, ORACLES[name])


def test_drawdown_when_price_halves_and_recovers_then_is_one_half() -> None:
    """From 100 to 50 half of the peak was lost, however the window ended."""
    close = np.full((63, 1), 100.0)
    close[30] = 50.0
    features = fold(Bars(close, close, close, close, close, close))
    assert features[-1, 0, NAMES.index("drawdown_63")] == 0.5
