"""Hedge against its closed form and its regret bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weights import hedge


def test_fold_when_nothing_is_forgotten_then_weights_have_the_closed_form() -> None:
    """w_k is proportional to exp(-rate * sum of losses)."""
    losses = np.random.default_rng(51).random((300, 4, 3))
    log_performance = np.zeros((4, 3))
    for loss in losses:
        log_performance = hedge.fold(
            log_performance, loss, learning_rate=0.3, half_life_bars=np.inf
        )
    expected = np.exp(-0.3 * losses.sum(axis=0))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(hedge.weights(log_performance), expected, rtol=1e-10)


def test_fold_when_forgetting_then_losses_count_by_their_age() -> None:
    """A loss of a half-life ago counts half."""
    losses = np.random.default_rng(52).random((40, 2, 3))
    log_performance = np.zeros((2, 3))
    for loss in losses:
        log_performance = hedge.fold(log_performance, loss, learning_rate=2.0, half_life_bars=7.0)
    ages = np.arange(39, -1, -1)
    discounted = (losses * 0.5 ** (ages / 7.0)[:, None, None]).sum(axis=0)
    expected = -2.0 * discounted
    expected -= expected.max(axis=1, keepdims=True)
    np.testing.assert_allclose(log_performance, expected, atol=1e-12)


@given(st.integers(0, 10_000), st.floats(0.01, 2.0))
def test_weights_when_following_hedge_then_regret_keeps_to_its_bound(
    seed: int, rate: float
) -> None:
    """Total loss exceeds the best expert's by at most ln 3 / rate + rate T / 8."""
    rng = np.random.default_rng(seed)
    losses = rng.beta(rng.uniform(0.2, 2.0), rng.uniform(0.2, 2.0), size=(60, 1, 3))
    log_performance, total = np.zeros((1, 3)), 0.0
    for loss in losses:
        total += float((hedge.weights(log_performance) * loss).sum())
        log_performance = hedge.fold(
            log_performance, loss, learning_rate=rate, half_life_bars=np.inf
        )
    best = float(losses.sum(axis=0).min())
    assert total <= best + np.log(3) / rate + rate * len(losses) / 8 + 1e-9


def test_fold_when_a_loss_is_missing_then_counts_as_the_average_of_the_others() -> None:
    """A silent specialist is neither rewarded nor punished; a silent row stays as it is."""
    before = np.array([[0.0, -1.0, -2.0], [0.0, -0.5, -0.25]])
    loss = np.array([[0.2, 0.6, np.nan], [np.nan, np.nan, np.nan]])
    after = hedge.fold(before, loss, learning_rate=1.0, half_life_bars=np.inf)
    np.testing.assert_allclose(after[0], [0.0, -1.4, -2.2], atol=1e-15)
    np.testing.assert_array_equal(after[1], before[1])


def test_losses_when_the_bar_is_unchanged_then_even_odds_lose_nothing() -> None:
    """A return of zero counts as half up."""
    scores = np.array([[0.0, np.log(3.0), -np.log(3.0)]])
    np.testing.assert_allclose(
        hedge.losses(scores, np.array([0.0])), [[0.0, 0.0625, 0.0625]], atol=1e-15
    )
    np.testing.assert_allclose(
        hedge.losses(scores, np.array([0.01])), [[0.25, 0.0625, 0.5625]], atol=1e-15
    )


def test_losses_when_the_return_is_unknown_then_are_unknown() -> None:
    """Nobody can be judged without an outcome."""
    assert np.isnan(hedge.losses(np.zeros((1, 3)), np.array([np.nan]))).all()


def test_fold_when_losses_go_on_for_long_then_stays_finite() -> None:
    """The row maximum stays at zero, so weights never underflow together."""
    log_performance = np.zeros((1, 3))
    for _ in range(5000):
        log_performance = hedge.fold(
            log_performance, np.array([[1.0, 0.9, 1.0]]), learning_rate=2.0, half_life_bars=np.inf
        )
    assert hedge.weights(log_performance).tolist() == [[0.0, 1.0, 0.0]]
    assert log_performance.max() == pytest.approx(0.0)
