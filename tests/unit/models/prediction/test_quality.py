"""Measures of predictions against scipy and counts by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import log_loss as sklearn_log_loss

from models.prediction import quality


def test_rank_correlations_when_rows_have_gaps_and_ties_then_equal_scipy() -> None:
    """Average ranks over the symbols known on both sides."""
    rng = np.random.default_rng(81)
    predictions = rng.integers(0, 6, size=(40, 9)).astype(float)
    returns = rng.integers(-3, 4, size=(40, 9)).astype(float)
    predictions[rng.random((40, 9)) < 0.2] = np.nan
    returns[rng.random((40, 9)) < 0.2] = np.nan
    correlations = quality.rank_correlations(predictions, returns)
    for bar, correlation in enumerate(correlations):
        known = np.isfinite(predictions[bar]) & np.isfinite(returns[bar])
        first, second = predictions[bar, known], returns[bar, known]
        if known.sum() < 3 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
            assert np.isnan(correlation)
        else:
            assert correlation == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_calibration_error_when_frequencies_are_off_by_a_tenth_then_is_a_tenth() -> None:
    """Predicted 0.6 and 0.3 against half and 0.4: every bin is off by 0.1."""
    probabilities = np.repeat([0.6, 0.3], 500)
    happened = np.concatenate([np.tile([1.0, 0.0], 250), np.tile([1.0, 1.0, 0.0, 0.0, 0.0], 100)])
    error = quality.expected_calibration_error(probabilities, happened)
    assert error == pytest.approx(0.1, abs=1e-12)


def test_calibration_error_when_predictions_are_calibrated_then_is_sampling_noise() -> None:
    """Ten bins of 5,000 draws stay below three standard errors of a frequency."""
    rng = np.random.default_rng(82)
    probabilities = rng.random(50_000)
    happened = (rng.random(50_000) < probabilities).astype(float)
    error = quality.expected_calibration_error(probabilities, happened)
    assert error < 3 * 0.5 / np.sqrt(5000)


def test_log_loss_when_compared_with_scikit_learn_then_agrees() -> None:
    """Mean negative log likelihood, NaN rows left out."""
    rng = np.random.default_rng(83)
    probabilities, happened = rng.random(300), rng.integers(0, 2, 300).astype(float)
    expected = sklearn_log_loss(happened, probabilities)
    with_gap = np.append(probabilities, np.nan), np.append(happened, 1.0)
    assert quality.log_loss(*with_gap) == pytest.approx(expected, rel=1e-12)


def test_log_loss_when_the_impossible_happens_then_is_infinite() -> None:
    """Certainty that fails has no finite price."""
    assert quality.log_loss(np.array([0.0, 0.5]), np.array([1.0, 0.0])) == np.inf


def test_measure_when_predictions_are_known_then_reports_counts_and_both_hit_rates() -> None:
    """Three bars of four symbols, one unchanged and one unknown: counted by hand."""
    returns = np.array([[1, -1, 2, -2], [1, 0, -1, 3], [-1, -1, 1, np.nan]]) * 0.01
    up = np.array([[0.6, 0.4, 0.7, 0.3], [0.5, 0.5, 0.5, 0.5], [0.6, 0.4, 0.55, 0.9]])
    row = quality.measure(up, returns)
    assert (row["n_rows"], row["n_bars"]) == (11, 3)
    assert row["hit_rate"] == pytest.approx(8 / 10)
    assert row["hit_rate_always_up"] == pytest.approx(5 / 10)
    by_hand = [1.0, spearmanr([0.6, 0.4, 0.55], [-1, -1, 1]).statistic]
    assert row["rank_ic"] == pytest.approx(np.mean(by_hand))


def test_measure_when_nothing_is_known_then_every_measure_is_undefined() -> None:
    """An empty stretch has no quality, and says so."""
    row = quality.measure(np.full((2, 3), np.nan), np.zeros((2, 3)))
    assert (row.pop("n_bars"), row.pop("n_rows")) == (0, 0)
    assert np.isnan(list(row.values())).all()
