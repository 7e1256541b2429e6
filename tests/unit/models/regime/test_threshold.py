"""The rule by hand, and on planted regimes."""

import math

import numpy as np
import pytest

from models.errors import HistoryTooShort
from models.regime import threshold
from models.regime.posterior import REGIMES
from tests.unit.models.regime.planted import COLUMNS, planted


def rows_of(scores: list[float]) -> np.ndarray:
    """Build bars (n, 1, 4) of volatility 0.01 with the given momentum scores."""
    values = np.array(scores)
    features = np.zeros((len(scores), 1, 4))
    features[:, 0, 0] = values * 0.01 * math.sqrt(21)
    features[:, 0, 1] = 0.01
    features[:, 0, 2] = values * 0.01 * math.sqrt(63)
    return features


def test_fit_when_scores_are_spread_evenly_then_cuts_thirds_and_names_them_by_drift() -> None:
    """Scores -150 to 150: cut at -50 and 50, low is bear, middle sideways, high bull."""
    model = threshold.fit(rows_of(list(np.arange(-150.0, 151.0))), columns=np.arange(4))
    assert model.cuts == pytest.approx([-50.0, 50.0])
    names = [REGIMES[k] for k in model.part_regime.argmax(axis=1)]
    assert names == ["bear", "sideways", "bull"]


def test_filtered_when_scores_cross_a_cut_then_the_regime_follows_at_once() -> None:
    """The value at a cut belongs above it; a missing bar keeps the regime before it."""
    model = threshold.fit(rows_of(list(np.arange(-150.0, 151.0))), columns=np.arange(4))
    features = rows_of([0.0, -60.0, 49.0, 51.0, 0.0])
    features[0, 0, 1] = np.nan
    features[4] = np.nan
    found = threshold.filtered(model, features)[:, 0]
    assert found[0].tolist() == [1 / 3] * 3
    assert [REGIMES[k] for k in found[1:].argmax(axis=1)] == ["bear", "sideways", "bull", "bull"]


def test_filtered_when_regimes_are_planted_then_finds_them() -> None:
    """At least 85 %: thirds are cut whatever the true shares are."""
    features, truth = planted()
    model = threshold.fit(features, columns=COLUMNS)
    found = threshold.filtered(model, features).argmax(axis=-1)
    assert (found == truth).mean() >= 0.85


def test_fit_when_few_rows_are_finite_then_says_how_many_are_needed() -> None:
    """Three parts need seventy-five rows."""
    with pytest.raises(HistoryTooShort, match="needs 75 usable rows, was 30"):
        threshold.fit(np.zeros((30, 1, 5)), columns=COLUMNS)
