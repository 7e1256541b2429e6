"""The weights stage: scores of the specialists and a simplex per row."""

import math

import numpy as np
import pytest

from agents.weights import WEIGHTS
from models.specialists import serving, window
from streams import metrics
from streams.slices import Slice
from tests.builders import bars, meta, models

SYMBOLS = ("AAA", "BBB")


def with_regime(closes: dict[str, float], value: float) -> Slice:
    """Build a slice with features of one value and a bullish regime."""
    n_rows = len(closes)
    return bars(meta(), closes, SYMBOLS).with_columns(
        {
            "features": np.full((n_rows, 60), value),
            "regime": np.tile([0.8, 0.1, 0.1, 0.9], (n_rows, 1)),
        }
    )


def test_step_when_features_are_ready_then_gives_scores_and_weights() -> None:
    """Scores are the specialists' own; weights are positive and sum to one."""
    slice_ = with_regime({"AAA": 1.0, "BBB": 2.0}, 0.5)
    _, columns = WEIGHTS.step(models(), WEIGHTS.initial(2), slice_)
    _, expected = serving.step(
        models().specialists, window.initial_state(2), np.arange(2), np.full((2, 60), 0.5)
    )
    np.testing.assert_array_equal(columns["scores"], expected)
    np.testing.assert_allclose(columns["weights"].sum(axis=1), 1.0, atol=1e-12)
    assert (columns["weights"] > 0).all()


def test_step_when_features_warm_up_then_weights_are_still_a_simplex() -> None:
    """A row without scores is no row without weights."""
    slice_ = with_regime({"AAA": 1.0}, math.nan)
    _, columns = WEIGHTS.step(models(), WEIGHTS.initial(2), slice_)
    assert np.isnan(columns["scores"]).all()
    assert columns["weights"].sum() == pytest.approx(1.0, abs=1e-12)


def test_step_when_nothing_traded_then_gives_no_rows() -> None:
    """A bar without rows has both columns, without rows."""
    _, columns = WEIGHTS.step(models(), WEIGHTS.initial(2), with_regime({}, 0.5))
    assert columns["scores"].shape == columns["weights"].shape == (0, 3)


def test_observe_when_the_controller_repaired_then_is_counted_and_its_usage_shown() -> None:
    """Probabilities off the simplex are two repairs; the shares of the options sum to one."""
    assert WEIGHTS.observe is not None
    bad = bars(meta(), {"AAA": 1.0, "BBB": 2.0}, SYMBOLS).with_columns(
        {"features": np.full((2, 60), 0.5), "regime": np.tile([0.8, 0.8, 0.1, 0.9], (2, 1))}
    )
    before = WEIGHTS.initial(2)
    after, columns = WEIGHTS.step(models(), before, bad)
    n_before = metrics.CONTROLLER_REPAIRS._value.get()
    WEIGHTS.observe(before, after, bad.with_columns(columns))
    assert metrics.CONTROLLER_REPAIRS._value.get() == n_before + 2
    shares = [
        metrics.OPTION_USAGE_FRACTION.labels(0, 0, option)._value.get()
        for option in ("bull", "bear", "sideways")
    ]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == pytest.approx(columns["weights"].mean(axis=0).tolist())
    assert metrics.OPTION_COLLAPSED.labels(0, 0)._value.get() == 0
