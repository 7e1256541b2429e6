"""A moment knows the bar before, and says NaN where there was none."""

import numpy as np

from models.features.bars import Bars
from models.features.moment import blank_history, observe


def test_observe_when_a_symbol_has_two_bars_then_compares_them_by_hand() -> None:
    """From a close of 100 to a bar 104 / 108 / 103 / 105: all by hand."""
    history = blank_history(n_symbols=2)
    row = np.array([1])
    first = Bars(*(np.array([price]) for price in (99.0, 101.0, 98.0, 100.0, 10.0, 99.5)))
    second = Bars(*(np.array([price]) for price in (104.0, 108.0, 103.0, 105.0, 20.0, 105.0)))
    start = observe(history, row, first)
    moment = observe(history, row, second)
    assert np.isnan([start.true_range, start.return_1, start.overnight]).all()
    assert start.flows[-1].tolist() == [0.0]
    assert moment.n_bars.tolist() == [2]
    assert moment.true_range.tolist() == [8.0]
    assert moment.flows[-1].tolist() == [20.0]
    assert moment.closes[-2:, 0].tolist() == [100.0, 105.0]
    np.testing.assert_allclose(moment.return_1, np.log(1.05), rtol=1e-15)
    np.testing.assert_allclose(moment.overnight, np.log(1.04), rtol=1e-15)
    assert history.n_bars.tolist() == [0, 2]
