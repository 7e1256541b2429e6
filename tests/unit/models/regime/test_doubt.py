"""Which rows count as unsure: warm ones above one and a half bits."""

import numpy as np
import pytest

from models.regime.doubt import Doubt, doubt
from models.regime.posterior import RegimeState, initial_state


def seen(*bars: int) -> RegimeState:
    """Give a state whose symbols have seen so many bars."""
    return initial_state(len(bars))._replace(seen=np.array(bars))


def rows_of(*bits: float) -> np.ndarray:
    """Give rows with these entropies."""
    return np.column_stack([np.full((len(bits), 3), 1 / 3), bits])


def test_doubt_when_rows_differ_then_counts_those_above_and_means_all() -> None:
    """1.6 is above, 1.5 is not, and the mean of 1.6, 1.5 and 0.5 is 1.2."""
    found = doubt(seen(1, 9, 9), np.arange(3), rows_of(1.6, 1.5, 0.5))
    assert (found.n_rows, found.n_unsure) == (3, 1)
    assert found.mean_bits == pytest.approx(1.2)


def test_doubt_when_a_symbol_warms_up_then_it_does_not_count() -> None:
    """Uniform for want of data is no alarm; rows are looked up by their symbol."""
    assert doubt(seen(0, 0, 5), np.array([2, 0]), rows_of(1.0, 1.58)) == Doubt(1, 0, 1.0)
    assert doubt(seen(0), np.array([0]), rows_of(1.58)) == Doubt(0, 0, 0.0)
