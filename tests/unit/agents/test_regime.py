"""The regime stage: four numbers per row, on the simplex and within log2 3 bits."""

import math

import numpy as np
import pytest

from agents.regime import REGIME
from streams import metrics
from streams.slices import Slice
from tests.builders import bars, meta, models

SYMBOLS = ("AAA", "BBB")


def with_features(closes: dict[str, float], value: float) -> Slice:
    """Build a slice whose features are all one value."""
    fresh = bars(meta(), closes, SYMBOLS)
    return fresh.with_columns({"features": np.full((len(closes), 60), value)})


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_step_when_features_are_ready_then_moves_on_the_simplex(value: float) -> None:
    """Probabilities sum to one, and the entropy is theirs, in bits."""
    both = with_features({"AAA": 1.0, "BBB": 2.0}, value)
    _, columns = REGIME.step(models(), REGIME.initial(2), both)
    for bull, bear, sideways, entropy in columns["regime"].tolist():
        probabilities = (bull, bear, sideways)
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-12)
        bits = -sum(p * math.log2(p) for p in probabilities if p > 0)
        assert entropy == pytest.approx(bits, abs=1e-12)


def test_step_when_features_warm_up_then_stays_uniform() -> None:
    """Nothing is known: a third each and log2 3 bits."""
    one = with_features({"AAA": 1.0}, math.nan)
    state, columns = REGIME.step(models(), REGIME.initial(2), one)
    np.testing.assert_allclose(columns["regime"], [[1 / 3, 1 / 3, 1 / 3, math.log2(3)]])
    assert state.seen.tolist() == [0, 0]


def test_step_when_nothing_traded_then_gives_no_rows() -> None:
    """A bar without rows has the column, without rows."""
    _, columns = REGIME.step(models(), REGIME.initial(2), with_features({}, 0.0))
    assert columns["regime"].shape == (0, 4)


def test_observe_when_rows_are_warm_then_counts_them_and_shows_their_entropy() -> None:
    """One warm row is one row, and its entropy is the chunk's mean."""
    assert REGIME.observe is not None
    before, one = REGIME.initial(2), with_features({"AAA": 1.0}, 1.0)
    after, columns = REGIME.step(models(), before, one)
    n_before = metrics.REGIME_ROWS._value.get()
    REGIME.observe(before, after, one.with_columns(columns))
    assert metrics.REGIME_ROWS._value.get() == n_before + 1
    assert metrics.REGIME_ENTROPY_BITS.labels(0, 0)._value.get() == columns["regime"][0, 3]
