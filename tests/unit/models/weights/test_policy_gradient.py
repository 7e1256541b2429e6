"""The gradient against finite differences, the rollout against the live step, and learning."""

import numpy as np
import pytest

from models import simplex
from models.weights import controller, options, policy_gradient, windows
from models.weights.controller import OPTIONS, ControllerModel
from models.weights.policy_gradient import Coefficients, Settings
from models.weights.windows import Track

SHAPE = (3, len(options.FEATURES))


def track(seed: int, n_bars: int = 60, n_symbols: int = 3) -> Track:
    """Draw features, positions and returns, one row in ten unknown."""
    draw = np.random.default_rng(seed)
    returns = 0.01 * draw.normal(size=(n_bars, n_symbols))
    returns[draw.random(returns.shape) < 0.1] = np.nan
    return Track(
        draw.normal(size=(n_bars, n_symbols, SHAPE[1])),
        draw.uniform(size=(n_bars, n_symbols, 3)),
        returns,
    )


def drawn(seed: int) -> Coefficients:
    """Draw coefficients of a decided policy."""
    return Coefficients(*(0.5 * np.random.default_rng(seed).normal(size=(2, *SHAPE))))


@pytest.mark.parametrize("limit", [1.0, 0.05])
def test_gradient_when_compared_with_finite_differences_then_agrees(limit: float) -> None:
    """Through softmax, termination, occupancy, limit, costs, penalty and entropy."""
    settings = Settings(max_change_fraction=limit, cost_fraction=0.001)
    given = track(81)
    first = np.random.default_rng(82).dirichlet(np.ones(3), 6).T
    window = windows.cut(given, windows.known_rows(given), np.array([0, 20]), 30, first)
    values = np.stack(drawn(83))

    def utility(changed: np.ndarray) -> float:
        rollout = policy_gradient.roll(Coefficients(*changed), window, settings)
        return policy_gradient.utility(rollout, window, 0.01, settings)

    expected = np.empty(values.shape)
    for place in np.ndindex(values.shape):
        nudge = np.zeros(values.shape)
        nudge[place] = 1e-6
        expected[place] = (utility(values + nudge) - utility(values - nudge)) / 2e-6
    rollout = policy_gradient.roll(Coefficients(*values), window, settings)
    found = np.stack(policy_gradient.gradient(rollout, window, 0.01, settings))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_utility_when_computed_by_hand_then_agrees() -> None:
    """One symbol, two bars, nothing ends: 1/3 of 0.3 + 0.6 held, weights and entropy constant."""
    given = Track(
        np.zeros((2, 1, SHAPE[1])),
        np.array([[[0.3, 0.6, 0.0]], [[0.6, 0.6, 0.0]]]),
        np.array([[0.02], [-0.01]]),
    )
    window = windows.cut(given, windows.known_rows(given), np.array([0]), 2, np.full((3, 1), 1 / 3))
    still = np.zeros(SHAPE)
    settings = Settings(risk_aversion=0.5, cost_fraction=0.001, entropy_bonus=0.1)
    rollout = policy_gradient.roll(Coefficients(still, still), window, settings)
    np.testing.assert_allclose(rollout.weights, 1 / 3)
    first, second = 0.3 * 0.02 / 0.01, (0.4 * -0.01 - 0.001 * 0.1) / 0.01
    expected = (first - 0.25 * first**2 + second - 0.25 * second**2) / 2 + 0.1 * np.log(3)
    found = policy_gradient.utility(rollout, window, 0.01, settings)
    assert found == pytest.approx(expected, abs=1e-9)


def test_roll_when_the_same_bars_are_served_then_gives_the_same_weights() -> None:
    """What is trained is what serves: limit, termination and softmax are those of the live step."""
    draw = np.random.default_rng(84)
    n_bars, n_symbols = 40, 4
    probabilities = draw.dirichlet([0.5] * 3, (n_bars, n_symbols))
    close = 100.0 * np.exp(np.cumsum(0.01 * draw.normal(size=(n_bars, n_symbols)), axis=0))
    scores = draw.normal(size=(n_bars, n_symbols, 3))
    coefficients = drawn(85)
    model = ControllerModel(policy=OPTIONS, **coefficients._asdict())
    state, rows = controller.initial_state(n_symbols), np.arange(n_symbols)
    served, seen = np.empty(scores.shape), np.empty((n_bars, n_symbols, SHAPE[1]))
    for bar in range(n_bars):
        bits = simplex.entropy_bits(probabilities[bar])[:, None]
        regime = np.hstack([probabilities[bar], bits])
        state, served[bar] = controller.step(model, state, rows, regime, scores[bar], close[bar])
        seen[bar] = options.features(probabilities[bar], state.log_performance)
    given = Track(seen, np.ones(scores.shape), np.zeros(close.shape))
    window = windows.cut(
        given, windows.known_rows(given), np.array([0]), n_bars, np.full((3, n_symbols), 1 / 3)
    )
    rolled = policy_gradient.roll(coefficients, window, Settings()).weights
    np.testing.assert_allclose(rolled.transpose(0, 2, 1), served, atol=1e-12)
    gaps = 0.5 * np.abs(np.diff(served, axis=0)).sum(axis=2)
    assert gaps.max() == pytest.approx(model.max_change_fraction)


def planted(seed: int, drift: float) -> Track:
    """Let the first specialist earn the drift while a visible sign is up, and pay it otherwise."""
    draw = np.random.default_rng(seed)
    sign = np.repeat(draw.choice([-1.0, 1.0], (40, 5)), 50, axis=0)
    seen = np.zeros((*sign.shape, SHAPE[1]))
    seen[..., 0], seen[..., 1] = 1.0, sign
    positions = np.zeros((*sign.shape, 3))
    positions[..., 0] = 1.0
    positions[..., 2] = 0.5
    return Track(seen, positions, drift * sign + 0.01 * draw.normal(size=sign.shape))


def test_fit_when_an_edge_is_planted_then_learns_to_take_it() -> None:
    """Weights of the specialist that is right rise while it is right, and fall after."""
    settings = Settings(updates=60, episode_bars=100)
    given = planted(86, 0.004)
    coefficients, course = policy_gradient.fit(given, seed=1, settings=settings)
    assert len(course) == settings.updates * settings.episodes
    later = planted(87, 0.004)
    window = windows.cut(
        later, windows.known_rows(later), np.array([0]), 2000, np.full((3, 5), 1 / 3)
    )
    weights = policy_gradient.roll(coefficients, window, settings).weights[:, 0]
    up = later.seen[..., 1] > 0.0
    assert weights[up].mean() > 0.6
    assert weights[~up].mean() < 0.3
    first, last = (np.mean([e.net_return for e in part]) for part in (course[:80], course[-80:]))
    assert last > first


def test_fit_when_specialists_do_not_differ_then_weights_stay_equal() -> None:
    """Without evidence the entropy decides: no option dies of noise."""
    given = planted(88, 0.0)
    given.positions[:] = 1.0
    settings = Settings(updates=60, episode_bars=100)
    coefficients, _ = policy_gradient.fit(given, seed=2, settings=settings)
    window = windows.cut(
        given, windows.known_rows(given), np.array([0]), 2000, np.full((3, 5), 1 / 3)
    )
    weights = policy_gradient.roll(coefficients, window, settings).weights
    np.testing.assert_allclose(weights.mean(axis=(0, 2)), 1 / 3, atol=0.02)


def test_fit_when_bets_are_ten_times_as_large_then_learns_the_same() -> None:
    """Utility is in units of the book's own risk; costs are fractions of what is traded."""
    given = track(89)
    settings = Settings(updates=5)
    larger = given._replace(positions=10.0 * given.positions)
    first, _ = policy_gradient.fit(given, seed=3, settings=settings)
    second, _ = policy_gradient.fit(larger, seed=3, settings=settings)
    np.testing.assert_allclose(np.stack(first), np.stack(second), rtol=1e-6, atol=1e-9)


def test_fit_when_repeated_then_gives_the_same_bytes_and_reports_progress() -> None:
    """Seed and track determine every coefficient; another seed gives others."""
    settings, shares = Settings(updates=4), []
    runs = [
        np.stack(
            policy_gradient.fit(track(90), seed=seed, settings=settings, progress=shares.append)[0]
        ).tobytes()
        for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]


def test_gradient_when_a_whole_window_is_unknown_then_is_zero() -> None:
    """A gap as long as an episode teaches nothing and breaks nothing."""
    given = track(91)
    known = windows.known_rows(given)
    known[:] = False
    window = windows.cut(given, known, np.array([0]), 30, np.full((3, 3), 1 / 3))
    rollout = policy_gradient.roll(drawn(92), window, Settings())
    assert not np.stack(policy_gradient.gradient(rollout, window, 0.01, Settings())).any()
