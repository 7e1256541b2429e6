"""What a history must be before anything is fitted on it."""

import numpy as np
import pytest

from models import history
from models.errors import NotFinite, ShapeError
from models.history import BarHistory


def bars(n_bars: int = 5) -> BarHistory:
    """Build two symbols, the second listed from the third bar on, with a gap at the fourth."""
    prices = np.arange(1.0, 1.0 + 2 * n_bars).reshape(n_bars, 2)
    prices[[0, 1, 3], 1] = np.nan
    return BarHistory(("AAA", "BBB"), np.arange(n_bars) * 60, *([prices] * 6))


def test_check_when_bars_are_whole_or_wholly_missing_then_accepts() -> None:
    """Before a listing and in a gap there is no bar, and that is no error."""
    history.check(bars())


def test_check_when_a_bar_is_incomplete_then_names_row_and_column() -> None:
    """One missing price inside a symbol's life is refused by its place."""
    high = bars().high.copy()
    high[4, 1] = np.nan
    with pytest.raises(NotFinite, match=r"^high of row 4 \(close 240 ns\), column 1 \(BBB\)"):
        history.check(bars()._replace(high=high))


def test_check_when_a_price_is_infinite_then_refuses() -> None:
    """Infinity is neither a price nor a missing bar."""
    prices = np.full((5, 2), np.inf)
    with pytest.raises(NotFinite, match="row 0"):
        history.check(BarHistory(("AAA", "BBB"), np.arange(5), *([prices] * 6)))


@pytest.mark.parametrize("times", [[0, 60, 60, 180, 240], [0, 120, 60, 180, 240]])
def test_check_when_times_do_not_rise_then_names_the_bar(times: list[int]) -> None:
    """Unsorted and duplicate closing times are refused."""
    with pytest.raises(ShapeError, match="bar 2 closes at 60 ns"):
        history.check(bars()._replace(close_ns=np.array(times)))


def test_check_when_shapes_disagree_then_refuses() -> None:
    """Every column has a row per time and a column per symbol."""
    with pytest.raises(ShapeError, match=r"vwap must be \(5, 2\), was \(4, 2\)"):
        history.check(bars()._replace(vwap=np.ones((4, 2))))


def test_check_when_a_symbol_stands_twice_then_refuses() -> None:
    """A second column of one symbol would be learnt from twice."""
    with pytest.raises(ShapeError, match="AAA, AAA"):
        history.check(bars()._replace(symbols=("AAA", "AAA")))


def test_next_returns_when_bars_are_missing_then_are_unknown() -> None:
    """A return needs this bar and the very next one."""
    returns = history.next_returns(bars())
    np.testing.assert_allclose(returns[:4, 0], [3 / 1 - 1, 5 / 3 - 1, 7 / 5 - 1, 9 / 7 - 1])
    assert np.isnan(returns[4]).all()
    assert np.isnan(returns[:, 1]).all()
