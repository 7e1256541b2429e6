"""Bars that cannot be are refused, by name and place."""

import numpy as np
import pytest

from models.errors import NotFinite, ShapeError
from models.features.bars import Bars, check

ROWS = np.array([0, 3], dtype=np.int64)


def two_bars() -> Bars:
    """Give two possible bars."""
    columns = (10.0, 12.0, 9.0, 11.0, 500.0, 10.5)
    return Bars(*(np.full(2, value) for value in columns))


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("close", np.nan, "is not finite"),
        ("volume", np.inf, "is not finite"),
        ("vwap", 0.0, "is a price of 0"),
        ("low", -1.0, "is negative"),
        ("volume", -5.0, "is negative"),
        ("high", 10.5, "is a high below open or close"),
        ("low", 10.5, "is a low above open or close"),
    ],
)
def test_check_when_a_value_is_impossible_then_names_field_place_and_value(
    field: str, value: float, complaint: str
) -> None:
    """The message leads to the tape: which column, which row, which symbol, what it was."""
    bars = two_bars()
    getattr(bars, field)[1] = value
    with pytest.raises(
        NotFinite, match=rf"bars\.{field}\[1\] \(symbol 3\) was {value}.*{complaint}"
    ):
        check(ROWS, bars, n_symbols=4)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (np.array([3, 0]), r"rows\[1\] was 0 after 3"),
        (np.array([2, 2]), r"rows\[1\] was 2 after 2"),
        (np.array([-1, 2]), "from -1 to 2"),
        (np.array([1, 4]), "the state has 4 symbols"),
        (np.array([[0, 1]]), "of 2 axes"),
        (np.array([0.0, 1.0]), "float64"),
    ],
)
def test_check_when_rows_are_not_rising_indices_then_raises_shape_error(
    rows: np.ndarray, complaint: str
) -> None:
    """A repeated or unsorted symbol would be written twice in unknown order."""
    with pytest.raises(ShapeError, match=complaint):
        check(rows, two_bars(), n_symbols=4)


@pytest.mark.parametrize("column", [np.ones(3), np.ones((2, 1)), np.ones(2, dtype=np.float32)])
def test_check_when_a_column_has_another_shape_or_type_then_raises_shape_error(
    column: np.ndarray,
) -> None:
    """Columns are float64, one value a row; nothing is broadcast."""
    with pytest.raises(ShapeError, match=r"bars\.vwap"):
        check(ROWS, two_bars()._replace(vwap=column), n_symbols=4)


def test_check_when_volume_is_zero_then_accepts() -> None:
    """Many real daily tapes have no volume."""
    check(ROWS, two_bars()._replace(volume=np.zeros(2)), n_symbols=4)
