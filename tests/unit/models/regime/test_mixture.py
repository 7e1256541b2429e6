"""The fitted mixture against scikit-learn and against planted regimes."""

import numpy as np
import pytest
from sklearn.mixture import BayesianGaussianMixture

from models.errors import HistoryTooShort, NotFitted
from models.regime import mixture, posterior
from models.regime.mixture_settings import Settings
from models.regime.posterior import REGIMES, RegimeModel

COLUMNS = np.array([4, 1, 2, 0])

# return_21, volatility_21, return_63, drawdown_63 of the planted regimes, in the order of REGIMES.
CENTRES = np.array(
    [[0.05, 0.01, 0.14, -0.01], [-0.09, 0.03, -0.2, -0.25], [0.0, 0.012, 0.0, -0.06]]
)
SPREADS = np.array(
    [[0.01, 0.001, 0.02, 0.005], [0.02, 0.004, 0.04, 0.04], [0.01, 0.001, 0.02, 0.01]]
)


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Draw 700 bars of three symbols that persist in one of three regimes; five features."""
    rng = np.random.default_rng(21)
    truth = np.repeat(rng.integers(0, 3, size=(70, 3)), 10, axis=0)
    features = np.zeros((700, 3, 5))
    features[..., COLUMNS] = CENTRES[truth] + SPREADS[truth] * rng.normal(size=(700, 3, 4))
    features[:5] = np.nan
    return features, truth


@pytest.fixture(scope="module")
def model(planted: tuple[np.ndarray, np.ndarray]) -> RegimeModel:
    """Fit the planted regimes."""
    return mixture.fit(planted[0], columns=COLUMNS, seed=0)


def test_fit_when_regimes_are_planted_then_recovers_their_names(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """At least 99 % of separable bars get the name under which they were planted."""
    features, truth = planted
    found = posterior.posterior(model, features[5:].reshape(-1, 5)[:, COLUMNS]).argmax(axis=1)
    assert (found == truth[5:].ravel()).mean() >= 0.99


def test_fit_when_smoothed_then_follows_planted_regimes_with_a_lag(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    """Two half-lives after a change the new regime has at least half of the belief."""
    features, truth = planted
    fitted = mixture.fit(features, columns=COLUMNS, seed=0)
    state = posterior.initial_state(3)
    for bar in range(5, 700):
        state, regime = posterior.step(fitted, state, np.arange(3), features[bar])
        if bar % 10 == 9 and bar > 10:
            assert (regime[np.arange(3), truth[bar]] > 0.5).all()


def test_fit_when_repeated_then_gives_the_same_bytes(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """The same seed and data give the same model."""
    again = mixture.fit(planted[0], columns=COLUMNS, seed=0)
    for first, second in zip(model, again, strict=True):
        assert np.asarray(first).tobytes() == np.asarray(second).tobytes()


def test_fit_when_warm_then_keeps_the_scaler_and_is_not_random(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """A warm start has no k-means in it: any seed gives the same bytes."""
    first, second = (
        mixture.fit(planted[0][100:], columns=COLUMNS, seed=seed, previous=model) for seed in (1, 2)
    )
    assert first.scaler_mean.tobytes() == model.scaler_mean.tobytes()
    assert first.scaler_scale.tobytes() == model.scaler_scale.tobytes()
    for left, right in zip(first, second, strict=True):
        assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


def test_fit_when_warm_without_updates_to_make_then_stays_where_it_was(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """From a converged model the same rows lead back to it: the used means hardly move."""
    again = mixture.fit(planted[0], columns=COLUMNS, seed=0, previous=model)
    used = model.weights > 0.05
    assert again.means[used] == pytest.approx(model.means[used], abs=0.02)


def test_fit_when_the_previous_model_has_another_size_then_refuses(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """Eight components cannot start four."""
    with pytest.raises(NotFitted, match="needs 4 components, the previous model has 8"):
        mixture.fit(
            planted[0],
            columns=COLUMNS,
            seed=0,
            settings=Settings(components=4),
            previous=model,
        )


def test_fit_when_the_previous_model_reads_other_columns_then_refuses(
    model: RegimeModel, planted: tuple[np.ndarray, np.ndarray]
) -> None:
    """Responsibilities of other features would start from noise."""
    other = model._replace(feature_columns=COLUMNS[::-1])
    with pytest.raises(NotFitted, match=r"columns \[4, 1, 2, 0\], the previous one reads \[0, 2"):
        mixture.fit(planted[0], columns=COLUMNS, seed=0, previous=other)


def test_drift_scores_when_means_are_given_then_follow_the_formula() -> None:
    """Returns of 0.06 and 0.12 at 1 % a bar: 6 / sqrt 21 + 12 / sqrt 63."""
    scores = mixture.drift_scores(np.array([[0.06, 0.01, 0.12, -0.5]]))
    assert scores == pytest.approx([6.0 / np.sqrt(21) + 12.0 / np.sqrt(63)])


def test_fit_when_few_rows_are_finite_then_says_how_many_are_needed() -> None:
    """Eight components need two hundred rows."""
    with pytest.raises(HistoryTooShort, match=r"needs 200 rows .* was 30"):
        mixture.fit(np.zeros((30, 1, 5)), columns=COLUMNS, seed=0)


def test_fit_when_the_history_is_long_then_keeps_to_the_bound_on_rows() -> None:
    """Thinning starts from the newest bar and never exceeds max_rows."""
    bars = np.arange(1000.0).reshape(1000, 1, 1) * np.ones(4)
    kept = mixture._observations(bars, Settings(components=2, max_rows=300))
    assert kept[:, 0].tolist() == list(np.arange(999, 0, -4)[::-1])


def test_responsibilities_when_compared_with_scikit_learn_then_agree() -> None:
    """Our evaluation of the variational posterior equals predict_proba to 1e-12."""
    rng = np.random.default_rng(22)
    observations = rng.normal(size=(600, 4)) * [1, 2, 0.5, 1] + rng.integers(0, 3, (600, 1))
    oracle = BayesianGaussianMixture(n_components=4, max_iter=300, random_state=3)
    oracle.fit(observations)
    served = RegimeModel(
        scaler_mean=np.zeros(4),
        scaler_scale=np.ones(4),
        weights=oracle.weights_,
        means=oracle.means_,
        precisions_cholesky=oracle.precisions_cholesky_,
        log_constants=mixture.log_constants(oracle),
        component_regime=np.eye(3)[[0, 1, 2, 2]],
        feature_columns=np.arange(4),
        half_life_bars=5.0,
    )
    far = np.concatenate([observations, 30.0 * observations[:50]])
    np.testing.assert_allclose(
        posterior.responsibilities(served, far), oracle.predict_proba(far), atol=1e-12
    )


def test_component_names_when_all_returns_rise_then_names_are_relative() -> None:
    """In a history that only rises the weakest component is the bear, so that no name is empty."""
    means = np.array([[0.01, 0.01, 0.02, 0.0], [0.05, 0.01, 0.1, 0.0], [0.03, 0.01, 0.06, 0.0]])
    names = mixture.component_names(means, np.ones(3) / 3)
    assert [REGIMES[k] for k in names] == ["bear", "bull", "sideways"]


def test_component_names_when_volatility_changes_its_unit_then_stay_the_same() -> None:
    """Per-bar and annualised volatility give the same names."""
    rng = np.random.default_rng(23)
    means = rng.normal(size=(8, 4))
    means[:, 1] = rng.uniform(0.01, 0.05, 8)
    weights = rng.dirichlet(np.ones(8))
    annual = means * [1.0, np.sqrt(252), 1.0, 1.0]
    assert (
        mixture.component_names(means, weights).tolist()
        == mixture.component_names(annual, weights).tolist()
    )
