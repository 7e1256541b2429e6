"""Platt scaling against scikit-learn and at its edges."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models import simplex
from models.errors import HistoryTooShort
from models.prediction import calibration


def test_fit_when_compared_with_logistic_regression_then_agrees() -> None:
    """Newton's steps find the optimum that scikit-learn finds without a penalty."""
    rng = np.random.default_rng(71)
    logits = rng.normal(size=2000) * 3.0
    labels = (rng.random(2000) < simplex.sigmoid(0.4 * logits - 0.2)).astype(float)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    oracle.fit(logits[:, None], labels)
    slope, intercept = calibration.fit(logits, labels)
    assert slope == pytest.approx(float(oracle.coef_[0, 0]), abs=1e-6)
    assert intercept == pytest.approx(float(oracle.intercept_[0]), abs=1e-6)


def test_fit_when_logits_mislead_then_only_the_base_rate_remains() -> None:
    """A negative slope is refused: three of four ups give (3 + 1) / (4 + 2) by Laplace's rule."""
    logits, labels = np.array([-2.0, -1.0, -1.0, 3.0]), np.array([1.0, 1.0, 1.0, 0.0])
    slope, intercept = calibration.fit(logits, labels)
    assert slope == 0.0
    assert simplex.sigmoid(np.array([intercept]))[0] == pytest.approx(4 / 6)


@pytest.mark.parametrize("spread", [1e-9, 1.0, 1e3])
def test_fit_when_labels_are_separable_then_stays_finite(spread: float) -> None:
    """Perfect separation has no finite optimum; the steps end all the same."""
    logits = spread * np.array([-2.0, -1.0, 1.0, 2.0])
    assert np.isfinite(calibration.fit(logits, np.array([0.0, 0.0, 1.0, 1.0]))).all()


def test_fit_when_all_logits_are_equal_then_gives_the_base_rate() -> None:
    """Without any spread the probability is the frequency."""
    slope, intercept = calibration.fit(np.full(300, 0.2), np.repeat([1.0, 0.0], [225, 75]))
    up = simplex.sigmoid(np.array([slope * 0.2 + intercept]))
    assert up[0] == pytest.approx(0.75, abs=2e-3)


def test_fit_when_no_row_is_given_then_refuses() -> None:
    """Nothing can be calibrated on nothing."""
    with pytest.raises(HistoryTooShort):
        calibration.fit(np.empty(0), np.empty(0))
