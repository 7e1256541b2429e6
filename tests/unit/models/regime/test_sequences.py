"""What the arms with a memory are fitted on."""

import numpy as np
import pytest

from models.errors import HistoryTooShort
from models.regime import sequences


def test_latest_when_rows_are_bounded_then_takes_the_newest_without_gaps_or_thinning() -> None:
    """Two of four rows each; a bar with a NaN is no bar."""
    features = np.arange(16.0).reshape(4, 2, 2)
    features[3, 1, 0] = np.nan
    taken = sequences.latest(features, np.array([1]), max_rows=4, min_rows=1)
    rows = taken.scaled * taken.scale + taken.mean
    assert rows.ravel().tolist() == pytest.approx([9.0, 13.0, 11.0, 15.0])
    taken = sequences.latest(features, np.array([0]), max_rows=4, min_rows=1)
    rows = taken.scaled * taken.scale + taken.mean
    assert rows.ravel().tolist() == pytest.approx([8.0, 12.0, 6.0, 10.0])


def test_latest_when_a_symbol_has_no_usable_bar_then_has_no_sequence() -> None:
    """A length of zero would be a sequence without a first bar."""
    features = np.ones((3, 2, 1))
    features[:, 0] = np.nan
    taken = sequences.latest(features, np.array([0]), max_rows=10, min_rows=1)
    assert taken.lengths == (3,)
    assert taken.scale.tolist() == [1.0]


def test_latest_when_too_few_rows_are_usable_then_says_how_many() -> None:
    """Four rows where seventy-five are needed."""
    with pytest.raises(HistoryTooShort, match="needs 75 usable rows, was 4"):
        sequences.latest(np.ones((2, 2, 1)), np.array([0]), max_rows=100, min_rows=75)


def test_usable_rows_when_one_column_is_missing_then_the_whole_row_is_filled() -> None:
    """Half an observation is none."""
    filled, usable = sequences.usable_rows(
        np.array([[1.0, np.inf, 3.0], [4.0, 5.0, 6.0]]), np.array([0, 1]), np.array([7.0, 8.0])
    )
    assert filled.tolist() == [[7.0, 8.0], [4.0, 5.0]]
    assert usable.tolist() == [False, True]
