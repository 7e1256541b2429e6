"""Scores and attention of random networks: the row law and the missing-value policy."""

import math

import numpy as np
import pytest

from models.errors import ShapeError
from models.specialists import serving, window
from models.specialists.serving import Specialists
from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS
from tests import builders

N_FEATURES = 60


@pytest.fixture
def specialists() -> Specialists:
    """Draw networks of the served size, two to each regime."""
    return builders.specialists(np.random.default_rng(31), n_members=2)


@pytest.fixture
def features() -> np.ndarray:
    """Draw more rows than a dozen tiles hold, with every ninth still warming up."""
    values = np.random.default_rng(32).normal(size=(200, N_FEATURES)) * 3.0
    values[::9, 17] = np.nan
    return values


@pytest.fixture
def windows() -> np.ndarray:
    """Draw the bars behind them; every fifth symbol has had few bars, some bars lack a value."""
    drawn = np.random.default_rng(33)
    values = drawn.normal(size=(200, LENGTH_BARS, len(ATTENDED))) * 3.0
    values[::5, :11] = np.nan
    values[1::7, 8, 2] = np.nan
    return values


def by_definition(
    specialists: Specialists, row: np.ndarray, past: np.ndarray, at: int
) -> tuple[float, list[float]]:
    """Evaluate one network on one row, one unit at a time: log odds and attention."""

    def scaled(value: float, column: int) -> float:
        inside = (value - specialists.mean[column]) / specialists.scale[column]
        return float(max(-specialists.clip, min(specialists.clip, inside)))

    def product(inputs: list[float], weights: np.ndarray) -> list[float]:
        return [math.fsum(x * w for x, w in zip(inputs, c, strict=True)) for c in weights.T]

    def layer(inputs: list[float], weights: np.ndarray, biases: np.ndarray) -> list[float]:
        return [max(0.0, x + b) for x, b in zip(product(inputs, weights), biases, strict=True)]

    inputs = [scaled(value, column) for column, value in enumerate(row)]
    query = product(inputs, specialists.query_weights[at]) + specialists.query_biases[at]
    bars = [[scaled(v, c) for v, c in zip(bar, COLUMNS, strict=True)] for bar in past]
    weights = [0.0] * LENGTH_BARS
    for lag, bar in enumerate(bars):
        if not any(math.isnan(value) for value in past[lag]):
            key = product(bar, specialists.key_weights[at])
            likeness = math.fsum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(8)
            weights[lag] = math.exp(likeness + specialists.lag_biases[at, lag])
    attention = [weight / math.fsum(weights) for weight in weights]
    context = specialists.value_biases[at].copy()
    for lag, bar in enumerate(bars):
        if attention[lag] > 0.0:
            context += attention[lag] * np.array(product(bar, specialists.value_weights[at]))
    first = layer([*inputs, *context], specialists.weights_1[at], specialists.biases_1[at])
    second = layer(first, specialists.weights_2[at], specialists.biases_2[at])
    output = product(second, specialists.weights_3[at][:, None])[0]
    return output + float(specialists.biases_3[at]), attention


def test_attend_when_compared_then_equals_the_definition(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray
) -> None:
    """Tiled products equal the networks written out unit by unit, averaged over the members."""
    rows = slice(1, 7)
    scores, attention = serving.attend(specialists, features[rows], windows[rows])
    for row in range(6):
        for k in range(3):
            members = [
                by_definition(specialists, features[rows][row], windows[rows][row], at)
                for at in (2 * k, 2 * k + 1)
            ]
            assert scores[row, k] == pytest.approx(
                0.5 * (members[0][0] + members[1][0]), rel=1e-10, abs=1e-10
            )
            expected = 0.5 * (np.array(members[0][1]) + np.array(members[1][1]))
            np.testing.assert_allclose(attention[row, k], expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("n_rows", [1, 3, 16, 17, 200])
def test_attend_when_rows_come_alone_or_permuted_then_gives_the_same_bits(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray, n_rows: int
) -> None:
    """A row's score and attention depend neither on its company nor on its position."""
    whole = serving.attend(specialists, features[:n_rows], windows[:n_rows])
    alone = [
        serving.attend(specialists, features[row : row + 1], windows[row : row + 1])
        for row in range(n_rows)
    ]
    for k, answer in enumerate(whole):
        assert np.concatenate([each[k] for each in alone]).tobytes() == answer.tobytes()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(n_rows)
        permuted = serving.attend(specialists, features[order], windows[order])
        for first, second in zip(permuted, whole, strict=True):
            assert first.tobytes() == second[order].tobytes()


def test_attend_when_bars_are_missing_then_looks_at_the_others_only(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray
) -> None:
    """Attention is zero on what was not seen, not negative, and sums to one on the rest."""
    scores, attention = serving.attend(specialists, features, windows)
    usable = np.isfinite(features).all(axis=1)
    assert np.isfinite(scores[usable]).all()
    unseen = ~np.isfinite(windows).all(axis=2)
    assert (attention[usable].transpose(0, 2, 1)[unseen[usable]] == 0.0).all()
    assert (attention[usable] >= 0.0).all()
    np.testing.assert_allclose(attention[usable].sum(axis=2), 1.0, atol=1e-12)


def test_attend_when_a_missing_bar_holds_anything_then_gives_the_same_bits(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray
) -> None:
    """The other values of a bar that lacks one are not looked at either."""
    other = windows.copy()
    other[1::7, 8] = np.inf
    for first, second in zip(
        serving.attend(specialists, features, windows),
        serving.attend(specialists, features, other),
        strict=True,
    ):
        assert first.tobytes() == second.tobytes()


def test_attend_when_no_bar_is_seen_then_the_row_has_no_score(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray
) -> None:
    """Attention to nothing is undefined, and so is what follows from it."""
    empty = windows[1:3].copy()
    empty[0] = np.nan
    scores, attention = serving.attend(specialists, features[1:3], empty)
    assert np.isnan(scores[0]).all()
    assert np.isnan(attention[0]).all()
    assert np.isfinite(scores[1]).all()


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_attend_when_a_feature_is_missing_then_only_that_row_has_no_score(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray, missing: float
) -> None:
    """One unusable value silences its row and no other."""
    whole, _ = serving.attend(specialists, features[1:9], windows[1:9])
    broken = features[1:9].copy()
    broken[4, 59] = missing
    scores, _ = serving.attend(specialists, broken, windows[1:9])
    assert np.isnan(scores[4]).all()
    assert np.delete(scores, 4, axis=0).tobytes() == np.delete(whole, 4, axis=0).tobytes()


def test_attend_when_no_rows_come_then_gives_none(specialists: Specialists) -> None:
    """An empty slice has an empty answer."""
    scores, attention = serving.attend(
        specialists, np.empty((0, N_FEATURES)), np.empty((0, LENGTH_BARS, len(ATTENDED)))
    )
    assert scores.shape == (0, 3)
    assert attention.shape == (0, 3, LENGTH_BARS)


def test_attend_when_called_then_leaves_its_input_alone(
    specialists: Specialists, features: np.ndarray, windows: np.ndarray
) -> None:
    """Features and windows belong to the caller."""
    kept = features.copy(), windows.copy()
    serving.attend(specialists, features, windows)
    np.testing.assert_array_equal(features, kept[0])
    np.testing.assert_array_equal(windows, kept[1])


def test_attend_when_shapes_are_wrong_then_refuses(specialists: Specialists) -> None:
    """Fifty-nine columns cannot be the trained sixty, nor fifteen bars the trained sixteen."""
    with pytest.raises(ShapeError, match=r"\(n, 60\), was \(2, 59\)"):
        serving.attend(specialists, np.zeros((2, 59)), np.zeros((2, 16, 8)))
    with pytest.raises(ShapeError, match=r"windows must be \(2, 16, 8\), was \(2, 15, 8\)"):
        serving.attend(specialists, np.zeros((2, 60)), np.zeros((2, 15, 8)))


def test_step_when_the_models_change_then_the_window_stays_what_it_was(
    specialists: Specialists, features: np.ndarray
) -> None:
    """The state knows no model: a successor scores as if it had been there from the start."""
    successor = builders.specialists(np.random.default_rng(34))
    rows = np.arange(8)
    bars = features[1:161].reshape(20, 8, N_FEATURES)
    switched, always = window.initial_state(8), window.initial_state(8)
    for bar, values in enumerate(bars):
        by = specialists if bar < 18 else successor
        switched, scores = serving.step(by, switched, rows, values)
        always, expected = serving.step(successor, always, rows, values)
        if by is successor:
            assert scores.tobytes() == expected.tobytes()
    assert switched.bars.tobytes() == always.bars.tobytes()
