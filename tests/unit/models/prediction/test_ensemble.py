"""From scores to a calibrated probability and a bounded bet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import NotFitted, ShapeError
from models.prediction import ensemble
from models.prediction.ensemble import EnsembleModel

MODEL = EnsembleModel(
    slope=0.8,
    intercept=0.05,
    volatility_column=2,
    volatility_scale=1.1,
    move_scale=0.7,
    kelly_fraction=0.1,
)
THIRDS = np.full((1, 3), 1 / 3)


def features(*volatilities: float) -> np.ndarray:
    """Place volatilities in their column, beside unused NaN."""
    table = np.full((len(volatilities), 4), np.nan)
    table[:, 2] = volatilities
    return table


def test_predict_when_scores_agree_then_follows_the_formulas() -> None:
    """With p = sigmoid(0.8 s + 0.05) the target is 0.1 (2p - 1) 0.7 v / (1.1 v)^2."""
    confidence, up, target = ensemble.predict(
        MODEL, features(0.02), np.array([[-0.1, 0.0, -0.5]]), np.array([[0.2, 0.3, 0.5]])
    )
    p = 1 / (1 + np.exp(-(0.8 * -0.27 + 0.05)))
    assert up[0] == pytest.approx(p, abs=1e-15)
    assert confidence[0] == pytest.approx(1 - p, abs=1e-15)
    expected = 0.1 * (2 * p - 1) * 0.7 * 0.02 / (1.1 * 0.02) ** 2
    assert target[0] == pytest.approx(expected, rel=1e-12)


@given(st.floats(-50, 50), st.floats(1e-6, 1.0))
def test_predict_when_defined_then_signs_and_bounds_hold(score: float, volatility: float) -> None:
    """Confidence lies in [0.5, 1]; the target has the direction's sign and keeps to its bound."""
    confidence, up, target = ensemble.predict(
        MODEL, features(volatility), np.full((1, 3), score), THIRDS
    )
    assert 0.5 <= confidence[0] <= 1.0
    assert confidence[0] == max(up[0], 1.0 - up[0])
    assert abs(target[0]) <= MODEL.max_target_fraction
    assert np.sign(target[0]) == np.sign(up[0] - 0.5)


@given(st.floats(0.001, 0.1), st.floats(1.01, 5.0))
def test_predict_when_volatility_rises_then_the_bet_shrinks(
    volatility: float, factor: float
) -> None:
    """At the same odds a wilder asset gets no larger target."""
    _, _, target = ensemble.predict(
        MODEL,
        features(volatility, factor * volatility),
        np.full((2, 3), 0.1),
        np.repeat(THIRDS, 2, axis=0),
    )
    assert target[1] <= target[0]


def test_predict_when_a_needed_value_is_missing_then_gives_nothing() -> None:
    """A missing score or volatility silences its row and no other."""
    scores = np.array([[0.1] * 3, [0.1, np.nan, 0.1], [0.1] * 3, [0.1] * 3])
    table = features(0.02, 0.02, np.nan, np.inf)
    for output in ensemble.predict(MODEL, table, scores, np.repeat(THIRDS, 4, axis=0)):
        assert np.isfinite(output).tolist() == [True, False, False, False]


def test_predict_when_a_dead_specialist_has_no_weight_then_the_others_speak() -> None:
    """A NaN score of weight zero does not count."""
    _, up, _ = ensemble.predict(
        MODEL, features(0.02), np.array([[np.nan, 0.3, 0.3]]), np.array([[0.0, 0.4, 0.6]])
    )
    assert up[0] == pytest.approx(1 / (1 + np.exp(-(0.8 * 0.3 + 0.05))), abs=1e-15)


def test_predict_when_volatility_is_zero_then_bets_nothing() -> None:
    """Without a risk estimate there is no growth-optimal bet."""
    _, up, target = ensemble.predict(MODEL, features(0.0), np.full((1, 3), 2.0), THIRDS)
    assert up[0] > 0.5
    assert target[0] == 0.0


@pytest.mark.parametrize("n_rows", [1, 3, 64, 65, 200])
def test_predict_when_rows_come_alone_or_permuted_then_gives_the_same_bits(n_rows: int) -> None:
    """A row's prediction depends on that row only, and inputs stay untouched."""
    rng = np.random.default_rng(91)
    table, scores = np.abs(rng.normal(size=(n_rows, 4))), rng.normal(size=(n_rows, 3))
    weights, order = rng.dirichlet(np.ones(3), n_rows), rng.permutation(n_rows)
    copies = [array.copy() for array in (table, scores, weights)]
    whole = np.stack(ensemble.predict(MODEL, table, scores, weights))
    shuffled = np.stack(ensemble.predict(MODEL, table[order], scores[order], weights[order]))
    alone = [
        np.stack(ensemble.predict(MODEL, *(a[row : row + 1] for a in (table, scores, weights))))
        for row in range(n_rows)
    ]
    np.testing.assert_array_equal(shuffled, whole[:, order])
    np.testing.assert_array_equal(np.concatenate(alone, axis=1), whole)
    for array, copy in zip((table, scores, weights), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_predict_when_arrays_disagree_then_refuses() -> None:
    """Shapes and the volatility column are checked before anything is computed."""
    with pytest.raises(ShapeError, match=r"was \(1, 4\), \(2, 3\), \(1, 3\)"):
        ensemble.predict(MODEL, features(0.02), np.zeros((2, 3)), THIRDS)
    with pytest.raises(NotFitted, match="column 2, was given 1 columns"):
        ensemble.predict(MODEL, np.ones((1, 1)), np.zeros((1, 3)), THIRDS)
