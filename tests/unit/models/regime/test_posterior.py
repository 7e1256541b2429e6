"""Laws of the regime step, on mixtures drawn at random."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from models import simplex
from models.errors import ShapeError
from models.regime import posterior
from models.regime.posterior import RegimeModel, RegimeState

N_SYMBOLS, N_FEATURES = 200, 7


@pytest.fixture
def model() -> RegimeModel:
    """Build a mixture of five components over four of seven features."""
    rng = np.random.default_rng(11)
    weights = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    factors = np.triu(rng.normal(size=(5, 4, 4))) + 2.0 * np.eye(4)
    determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return RegimeModel(
        scaler_mean=rng.normal(size=4),
        scaler_scale=rng.uniform(0.5, 2.0, size=4),
        weights=weights,
        means=rng.normal(size=(5, 4)),
        precisions_cholesky=factors,
        log_constants=np.log(weights) + determinants - 2.0 * np.log(2.0 * np.pi),
        component_regime=np.eye(3)[[0, 1, 2, 0, 1]],
        feature_columns=np.array([5, 0, 3, 2]),
        half_life_bars=5.0,
    )


@pytest.fixture
def features() -> np.ndarray:
    """Draw a slice in which every seventh row still warms up."""
    values = np.random.default_rng(12).normal(size=(N_SYMBOLS, N_FEATURES))
    values[::7, 3] = np.nan
    return values


def test_posterior_when_evaluated_then_equals_bayes_with_scipy_densities(
    model: RegimeModel, features: np.ndarray
) -> None:
    """The numpy form equals weights times normal densities, normalised."""
    used = features[1:7][:, model.feature_columns]
    scaled = (used - model.scaler_mean) / model.scaler_scale
    joint = np.stack(
        [
            weight * multivariate_normal(mean, np.linalg.inv(factor @ factor.T)).pdf(scaled)
            for weight, mean, factor in zip(
                model.weights, model.means, model.precisions_cholesky, strict=True
            )
        ],
        axis=1,
    )
    by_component = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior.responsibilities(model, used), by_component, atol=1e-12)
    np.testing.assert_allclose(
        posterior.posterior(model, used), by_component @ model.component_regime, atol=1e-12
    )


def test_step_when_evidence_stays_the_same_then_the_prior_fades_by_half_lives(
    model: RegimeModel,
) -> None:
    """After ten bars of the same features, two half-lives, a quarter of the prior is left."""
    row = np.array([0])
    features = np.random.default_rng(13).normal(size=(1, N_FEATURES))
    evidence = posterior.posterior(model, features[:, model.feature_columns])
    state = posterior.initial_state(1)
    for _ in range(10):
        state, regime = posterior.step(model, state, row, features)
    np.testing.assert_allclose(regime[:, :3], 0.25 / 3 + 0.75 * evidence, atol=1e-12)
    assert state.seen.tolist() == [10]


def test_step_when_features_warm_up_then_keeps_the_prior(
    model: RegimeModel, features: np.ndarray
) -> None:
    """A row with a NaN stays at uniform thirds and log2 3 bits, and is not counted."""
    rows = np.arange(N_SYMBOLS)
    state, regime = posterior.step(model, posterior.initial_state(N_SYMBOLS), rows, features)
    np.testing.assert_array_equal(regime[::7, :3], 1 / 3)
    np.testing.assert_allclose(regime[::7, 3], np.log2(3), atol=1e-15)
    assert state.seen[::7].sum() == 0
    assert state.seen.sum() == N_SYMBOLS - len(rows[::7])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200, -1e200])
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_step_when_a_feature_says_nothing_later_then_keeps_the_last_belief(
    model: RegimeModel, features: np.ndarray, value: float
) -> None:
    """A gap, or what no density can be told of, neither moves nor resets what was believed."""
    rows = np.arange(3)
    known = features[1:4]
    state, before = posterior.step(model, posterior.initial_state(3), rows, known)
    after, regime = posterior.step(model, state, rows, np.full_like(known, value))
    np.testing.assert_array_equal(regime, before)
    assert after.smoothed.tobytes() == state.smoothed.tobytes()


@pytest.mark.parametrize("n_rows", [1, 3, 64, 65, 200])
def test_step_when_rows_come_alone_or_together_then_gives_the_same_bits(
    model: RegimeModel, features: np.ndarray, n_rows: int
) -> None:
    """A row's belief depends neither on its company nor on its position."""
    rows = np.arange(n_rows)
    order = np.random.default_rng(14).permutation(n_rows)
    start = posterior.initial_state(N_SYMBOLS)
    state, whole = posterior.step(model, start, rows, features[:n_rows])
    _, permuted = posterior.step(model, start, rows[order], features[order])
    assert permuted.tobytes() == np.ascontiguousarray(whole[order]).tobytes()
    alone = start
    for row in rows:
        alone, one = posterior.step(model, alone, rows[row : row + 1], features[row : row + 1])
        assert one.tobytes() == whole[row].tobytes()
    assert alone.smoothed.tobytes() == state.smoothed.tobytes()
    assert alone.seen.tobytes() == state.seen.tobytes()


def test_step_when_run_twice_then_changes_no_input_and_gives_the_same_bits(
    model: RegimeModel, features: np.ndarray
) -> None:
    """The step is a function."""
    state = posterior.initial_state(N_SYMBOLS)
    arguments = (state.smoothed, state.seen, features)
    copies = [array.copy() for array in arguments]
    first = posterior.step(model, state, np.arange(N_SYMBOLS), features)
    second = posterior.step(model, state, np.arange(N_SYMBOLS), features)
    assert first[1].tobytes() == second[1].tobytes()
    for array, copy in zip(arguments, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_step_when_the_state_passes_through_bytes_then_goes_on_the_same(
    model: RegimeModel, features: np.ndarray
) -> None:
    """Nothing is remembered outside the state's arrays."""
    rows = np.arange(N_SYMBOLS)
    state, _ = posterior.step(model, posterior.initial_state(N_SYMBOLS), rows, features)
    copied = RegimeState(*(np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for a in state))
    _, expected = posterior.step(model, state, rows, features[::-1])
    _, regime = posterior.step(model, copied, rows, features[::-1])
    assert regime.tobytes() == expected.tobytes()


def test_step_when_folded_over_thousands_of_bars_then_sums_stay_one(model: RegimeModel) -> None:
    """Rounding does not accumulate: sums stay within 1e-9."""
    rng = np.random.default_rng(15)
    rows, state = np.arange(4), posterior.initial_state(4)
    for _ in range(3000):
        state, regime = posterior.step(model, state, rows, rng.normal(size=(4, N_FEATURES)))
        assert not simplex.off_simplex(regime[:, :3]).any()


def test_step_when_rows_and_features_disagree_then_refuses(model: RegimeModel) -> None:
    """Two rows beside three feature rows are a caller's error."""
    with pytest.raises(ShapeError, match=r"\(3, 7\) beside \(2,\)"):
        posterior.step(model, posterior.initial_state(3), np.arange(2), np.zeros((3, 7)))
