"""Options by hand: who may begin, when one ends, who comes next, and what that adds up to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models import simplex
from models.weights import options

ALIVE = np.ones((1, 3), np.bool_)


def coefficients(column: str, *values: float) -> np.ndarray:
    """Let one feature speak for each of the three options."""
    table = np.zeros((3, len(options.FEATURES)))
    table[:, options.FEATURES.index(column)] = values
    return table


def test_features_when_given_a_row_then_have_their_formulas() -> None:
    """Shares of one third off, entropy over its maximum, performance off its mean and squashed."""
    probabilities = np.array([[0.5, 0.25, 0.25]])
    performance = np.array([[0.0, -1.0, -2.0]])
    expected = [1.0, 1 / 6, -1 / 12, -1 / 12, 1.5 / np.log2(3), 0.5, 0.0, -0.5]
    np.testing.assert_allclose(options.features(probabilities, performance)[0], expected)
    assert len(expected) == len(options.FEATURES)


def test_selection_when_one_may_not_begin_then_the_others_share() -> None:
    """The softmax of log 1, log 3 over the living is 1/4, 3/4."""
    table = coefficients("constant", 5.0, np.log(1.0), np.log(3.0))
    seen = options.features(np.full((1, 3), 1 / 3), np.zeros((1, 3)))
    chosen = options.selection(table, seen, np.array([[False, True, True]]))
    np.testing.assert_allclose(chosen, [[0.0, 0.25, 0.75]], atol=1e-15)


def test_termination_when_odds_are_given_then_is_their_probability() -> None:
    """Log odds of log 3 mean three quarters; the dead end for certain."""
    table = coefficients("bull", np.log(3.0) * 1.5, -np.log(3.0) * 1.5, 0.0)
    seen = options.features(np.array([[1.0, 0.0, 0.0]]), np.zeros((1, 3)))
    np.testing.assert_allclose(options.termination(table, seen, ALIVE), [[0.75, 0.25, 0.5]])
    dead = np.array([[True, False, True]])
    np.testing.assert_allclose(options.termination(table, seen, dead), [[0.75, 1.0, 0.5]])


def test_occupancy_when_folded_by_hand_then_agrees() -> None:
    """0.5 * 0.2 + 0.3 * 0.5 + 0.2 * 1 = 0.45 ends and is given out 0.6, 0.4, 0."""
    folded = options.occupancy(
        np.array([[0.5, 0.3, 0.2]]), np.array([[0.2, 0.5, 1.0]]), np.array([[0.6, 0.4, 0.0]])
    )
    np.testing.assert_allclose(folded, [[0.4 + 0.27, 0.15 + 0.18, 0.0]], atol=1e-15)


def test_occupancy_when_drawn_many_times_then_is_the_share_of_the_draws() -> None:
    """The fold is the expectation of options that are really run and really end."""
    draw = np.random.default_rng(71)
    ending = draw.uniform(0.0, 0.5, (12, 3))
    chosen = draw.dirichlet(np.ones(3), 12)
    n_runs = 200_000
    running = draw.integers(0, 3, n_runs)
    folded = np.full((1, 3), 1 / 3)
    for b, c in zip(ending, chosen, strict=True):
        ends = draw.random(n_runs) < b[running]
        running = np.where(ends, draw.choice(3, n_runs, p=c), running)
        folded = options.occupancy(folded, b[None], c[None])
    shares = np.bincount(running, minlength=3) / n_runs
    np.testing.assert_allclose(folded[0], shares, atol=5.0 * np.sqrt(0.25 / n_runs))


@given(st.integers(0, 10_000))
def test_occupancy_when_bars_go_by_then_stays_on_the_simplex(seed: int) -> None:
    """Whatever ends and whatever is chosen, nothing is lost."""
    draw = np.random.default_rng(seed)
    folded = simplex.uniform(4, 3)
    for _ in range(30):
        folded = options.occupancy(folded, draw.random((4, 3)), draw.dirichlet(np.ones(3), 4))
    assert not simplex.off_simplex(folded).any()


def test_length_when_termination_is_constant_then_is_its_inverse() -> None:
    """An option that ends with probability 1/8 a bar lasts eight bars on average."""
    occupied = np.cumsum(np.full((50, 3), 1 / 3), axis=0)[-1]
    assert options.length_bars(occupied, occupied / 8.0).round(9).tolist() == [8.0, 8.0, 8.0]
    assert options.length_bars(np.array([1.0]), np.array([0.0])).tolist() == [np.inf]


def test_collapsed_when_one_option_does_everything_then_is_seen() -> None:
    """96 % is a collapse, 94 % is not, and neither is a symbol without a bar."""
    occupied = np.array([[96.0, 3.0, 1.0], [94.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
    assert options.collapsed(occupied).tolist() == [True, False, False]
    np.testing.assert_allclose(options.usage(occupied)[2], 1 / 3)
