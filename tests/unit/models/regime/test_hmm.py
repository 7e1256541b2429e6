"""The filter against hmmlearn, and the arm against planted regimes."""

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM

from models import simplex
from models.errors import HistoryTooShort
from models.regime import hmm
from models.regime.hmm import HmmModel
from tests.unit.models.regime.planted import COLUMNS, planted


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Draw planted regimes."""
    return planted()


@pytest.fixture(scope="module")
def model(drawn: tuple[np.ndarray, np.ndarray]) -> HmmModel:
    """Fit them."""
    return hmm.fit(drawn[0], columns=COLUMNS, seed=0)


def oracle_of(model: HmmModel) -> GaussianHMM:
    """Give hmmlearn the same parameters."""
    oracle = GaussianHMM(len(model.start), covariance_type="full")
    oracle.startprob_, oracle.transmat_, oracle.means_ = model.start, model.transition, model.means
    factors = model.precisions_cholesky
    oracle.covars_ = np.linalg.inv(factors @ factors.transpose(0, 2, 1))
    return oracle


@pytest.mark.parametrize("n_bars", [1, 2, 37, 400])
def test_filtered_when_the_prefix_ends_then_equals_the_posterior_of_hmmlearn_there(
    model: HmmModel, drawn: tuple[np.ndarray, np.ndarray], n_bars: int
) -> None:
    """At its last bar a posterior of the whole prefix knows nothing later: it is the filter."""
    features = drawn[0][:n_bars, :1]
    # Between the regimes, so that beliefs are far from certain.
    features = features * 0.4 + drawn[0][:n_bars, 1:2] * 0.6
    scaled = (features[:, 0][:, COLUMNS] - model.scaler_mean) / model.scaler_scale
    expected = oracle_of(model).predict_proba(scaled)[-1] @ model.state_regime
    np.testing.assert_allclose(hmm.filtered(model, features)[-1, 0], expected, atol=1e-9)


def test_filtered_when_only_a_prefix_is_known_then_gives_the_prefix(
    model: HmmModel, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    """No belief knows a later bar, bit for bit."""
    whole = hmm.filtered(model, drawn[0])
    for n_bars in (1, 100, 799):
        assert hmm.filtered(model, drawn[0][:n_bars]).tobytes() == whole[:n_bars].tobytes()
    assert not simplex.off_simplex(whole.reshape(-1, 3)).any()


def test_fit_when_regimes_are_planted_then_recovers_their_names(
    model: HmmModel, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    """At least 98 % of separable bars get the name under which they were planted."""
    found = hmm.filtered(model, drawn[0]).argmax(axis=-1)
    assert (found == drawn[1]).mean() >= 0.98


def test_fit_when_repeated_then_gives_the_same_bytes(
    model: HmmModel, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    """The same seed and data give the same model."""
    again = hmm.fit(drawn[0], columns=COLUMNS, seed=0)
    for first, second in zip(model, again, strict=True):
        assert first.tobytes() == second.tobytes()


def test_filtered_when_a_bar_is_missing_then_the_last_belief_stays(
    model: HmmModel, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    """Uniform before the first usable bar, unchanged in a gap, as without the gap after it."""
    features = drawn[0][:30, :1].copy()
    gappy = np.insert(features, [0, 10], np.nan, axis=0)
    found = hmm.filtered(model, gappy)
    assert found[0, 0].tolist() == [1 / 3] * 3
    np.testing.assert_array_equal(found[11], found[10])
    np.testing.assert_array_equal(np.delete(found, [0, 11], axis=0), hmm.filtered(model, features))


def test_fit_when_few_rows_are_finite_then_says_how_many_are_needed() -> None:
    """Three states need seventy-five rows."""
    with pytest.raises(HistoryTooShort, match="needs 75 usable rows, was 30"):
        hmm.fit(np.zeros((30, 1, 5)), columns=COLUMNS, seed=0)
