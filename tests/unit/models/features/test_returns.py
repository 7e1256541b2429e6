"""Returns against their definitions."""

from collections.abc import Callable

import numpy as np
import pytest

from models.features.bars import Bars
from tests.unit.models.features.conftest import log_returns


@pytest.mark.parametrize("lag", [1, 2, 3, 5, 10, 21, 63, 126, 252])
def test_log_return_when_lag_bars_have_passed_then_equals_log_of_price_ratio(
    agrees: Callable[..., None], lag: int
) -> None:
    """A k-bar return looks back k bars of the symbol itself."""
    agrees(f"return_{lag}", lambda bars: log_returns(bars.close, lag))


def test_overnight_gap_when_a_bar_opens_then_compares_it_with_the_close_before(
    agrees: Callable[..., None],
) -> None:
    """The gap is the open over the last close the symbol had."""

    def gap(bars: Bars) -> np.ndarray:
        return np.concatenate(([np.nan], np.log(bars.open[1:] / bars.close[:-1])))

    agrees("overnight_gap", gap)


def test_bar_range_when_high_and_low_are_known_then_is_their_log_ratio(
    agrees: Callable[..., None],
) -> None:
    """The range needs no bar but its own."""
    agrees("bar_range", lambda bars: np.log(bars.high / bars.low))
