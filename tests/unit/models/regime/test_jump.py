"""The online path against jumpmodels and against brute force, and the arm on planted regimes."""

import itertools

import numpy as np
import pytest
from jumpmodels.jump import JumpModel as Estimator

from models.errors import HistoryTooShort, NotFitted
from models.regime import jump
from models.regime.jump import JumpModel
from tests.unit.models.regime.planted import COLUMNS, planted


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Draw planted regimes."""
    return planted()


def test_filtered_when_compared_with_jumpmodels_then_follows_the_same_states() -> None:
    """Our recursion gives the package's online states, bar for bar."""
    draw = np.random.default_rng(42)
    scaled = np.cumsum(draw.normal(size=(500, 4)), axis=0) / 5.0
    oracle = Estimator(n_components=3, jump_penalty=8.0, random_state=0, n_init=2)
    oracle.fit(scaled)
    model = JumpModel(
        np.zeros(4), np.ones(4), oracle.centers_, 8.0, np.eye(3), np.arange(4, dtype=np.int64)
    )
    found = jump.filtered(model, scaled[:, None, :])[:, 0].argmax(axis=1)
    np.testing.assert_array_equal(found, oracle.predict_online(scaled))


def test_filtered_when_paths_are_few_then_ends_where_the_cheapest_ends() -> None:
    """Against all 3^7 paths of seven bars."""
    draw = np.random.default_rng(43)
    bars, centres = draw.normal(size=(7, 2)), draw.normal(size=(3, 2))
    model = JumpModel(np.zeros(2), np.ones(2), centres, 0.7, np.eye(3), np.arange(2))
    costs = 0.5 * ((bars[:, None] - centres) ** 2).sum(axis=2)

    def cost(path: tuple[int, ...]) -> float:
        changes = sum(a != b for a, b in itertools.pairwise(path))
        return sum(costs[bar, state] for bar, state in enumerate(path)) + 0.7 * changes

    best = min(itertools.product(range(3), repeat=7), key=cost)
    assert jump.filtered(model, bars[:, None])[-1, 0].argmax() == best[-1]


def test_fit_when_regimes_are_planted_then_recovers_their_names(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    """With a penalty that suits spells of 20 bars, at least 90 % of bars, lag included."""
    settings = jump.Settings(jump_penalty=2.0)
    model = jump.fit(drawn[0], columns=COLUMNS, seed=0, settings=settings)
    found = jump.filtered(model, drawn[0]).argmax(axis=-1)
    assert (found == drawn[1]).mean() >= 0.9


def test_fit_when_repeated_then_gives_the_same_bytes(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """The same seed and data give the same model."""
    first, second = (jump.fit(drawn[0], columns=COLUMNS, seed=1) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


def test_filtered_when_only_a_prefix_is_known_then_gives_the_prefix(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    """The state of a bar is never revised, nor does it know a later one."""
    model = jump.fit(drawn[0], columns=COLUMNS, seed=0)
    whole = jump.filtered(model, drawn[0])
    for n_bars in (1, 100, 799):
        assert jump.filtered(model, drawn[0][:n_bars]).tobytes() == whole[:n_bars].tobytes()


def test_filtered_when_a_bar_is_missing_then_the_last_state_stays(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    """Uniform before the first usable bar, unchanged in a gap, as without the gap after it."""
    model = jump.fit(drawn[0], columns=COLUMNS, seed=0)
    features = drawn[0][:30, :1]
    found = jump.filtered(model, np.insert(features, [0, 10], np.nan, axis=0))
    assert found[0, 0].tolist() == [1 / 3] * 3
    np.testing.assert_array_equal(found[11], found[10])
    np.testing.assert_array_equal(np.delete(found, [0, 11], axis=0), jump.filtered(model, features))


def test_fit_when_a_state_stays_empty_then_says_so() -> None:
    """Two points and a penalty cannot fill three states."""
    features = np.repeat([[[0.0] * 5], [[1.0] * 5]], 100, axis=0)
    with pytest.raises(NotFitted, match="each of 3 states needs a row"):
        jump.fit(features, columns=COLUMNS, seed=0)


def test_fit_when_few_rows_are_finite_then_says_how_many_are_needed() -> None:
    """Three states need seventy-five rows."""
    with pytest.raises(HistoryTooShort, match="needs 75 usable rows, was 30"):
        jump.fit(np.zeros((30, 1, 5)), columns=COLUMNS, seed=0)
