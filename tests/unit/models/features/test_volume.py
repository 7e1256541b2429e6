"""Volume columns against TA-Lib and their definitions, window by window."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from models.features.bars import Bars
from tests.unit.models.features.conftest import Floats, Oracle, log_returns, rolling


def last_score(values: Floats) -> float:
    """Give the last value's z-score in its window."""
    return float((values[-1] - values.mean()) / values.std(ddof=1))


def money_flow(bars: Bars) -> Floats:
    """Chaikin: accumulated volume over volume, 21 bars."""
    place = (2.0 * bars.close - bars.high - bars.low) / (bars.high - bars.low)
    return rolling(
        21,
        lambda place, volume: float((place * volume).sum() / volume.sum()),
        place,
        bars.volume,
    )


ORACLES: dict[str, Oracle] = {
    "obv_score_21": lambda bars: rolling(21, last_score, talib.OBV(bars.close, bars.volume)),
    "volume_score_21": lambda bars: rolling(21, last_score, bars.volume),
    "volume_ratio_5_63": lambda bars: rolling(
        63, lambda volume: float(volume[-5:].mean() / volume.mean()), bars.volume
    ),
    "money_flow_21": money_flow,
    "mfi_14": lambda bars: talib.MFI(bars.high, bars.low, bars.close, bars.volume, 14),
    "vwap_distance": lambda bars: bars.close / bars.vwap - 1.0,
    "volume_return_correlation_21": lambda bars: rolling(
        21,
        lambda volume, returns: float(np.corrcoef(volume, returns)[0, 1]),
        bars.volume,
        log_returns(bars.close),
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_volume_column_when_computed_bar_by_bar_then_equals_its_oracle(
    agrees: Callable[..., None], name: str
) -> None:
    """Every window is computed anew here, and running there."""
    agrees(name, ORACLES[name])
