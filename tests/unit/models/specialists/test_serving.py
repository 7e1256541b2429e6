"""Scores of random networks: the row law and the missing-value policy."""

import numpy as np
import pytest

from models.errors import ShapeError
from models.specialists import serving
from models.specialists.serving import Specialists

N_FEATURES = 60


@pytest.fixture
def specialists() -> Specialists:
    """Draw three networks of the served size."""
    rng = np.random.default_rng(31)
    return Specialists(
        mean=rng.normal(size=N_FEATURES),
        scale=rng.uniform(0.1, 3.0, N_FEATURES),
        clip=5.0,
        weights_1=rng.normal(size=(3, N_FEATURES, 64)) / 8,
        biases_1=rng.normal(size=(3, 64)),
        weights_2=rng.normal(size=(3, 64, 32)) / 8,
        biases_2=rng.normal(size=(3, 32)),
        weights_3=rng.normal(size=(3, 32)),
        biases_3=rng.normal(size=3),
    )


@pytest.fixture
def features() -> np.ndarray:
    """Draw more rows than three tiles hold, with every ninth still warming up."""
    values = np.random.default_rng(32).normal(size=(200, N_FEATURES)) * 3.0
    values[::9, 17] = np.nan
    return values


def by_definition(specialists: Specialists, row: np.ndarray, regime: int) -> float:
    """Evaluate one network on one row, one unit at a time."""
    scaled = (row - specialists.mean) / specialists.scale
    clipped = np.maximum(np.minimum(scaled, specialists.clip), -specialists.clip)
    first = [
        max(0.0, float(np.dot(clipped, column)) + bias)
        for column, bias in zip(
            specialists.weights_1[regime].T, specialists.biases_1[regime], strict=True
        )
    ]
    second = [
        max(0.0, float(np.dot(first, column)) + bias)
        for column, bias in zip(
            specialists.weights_2[regime].T, specialists.biases_2[regime], strict=True
        )
    ]
    return float(np.dot(second, specialists.weights_3[regime]) + specialists.biases_3[regime])


def test_score_when_features_are_finite_then_equals_the_definition(
    specialists: Specialists, features: np.ndarray
) -> None:
    """Tiled matrix products equal the network written out unit by unit."""
    expected = [[by_definition(specialists, row, k) for k in range(3)] for row in features[1:9]]
    np.testing.assert_allclose(serving.score(specialists, features[1:9]), expected, rtol=1e-12)


@pytest.mark.parametrize("n_rows", [1, 3, 64, 65, 200])
def test_score_when_rows_come_alone_or_permuted_then_gives_the_same_bits(
    specialists: Specialists, features: np.ndarray, n_rows: int
) -> None:
    """A row's score depends neither on its company nor on its position."""
    whole = serving.score(specialists, features[:n_rows])
    alone = [serving.score(specialists, features[row : row + 1]) for row in range(n_rows)]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(n_rows)
        permuted = serving.score(specialists, features[order])
        assert permuted.tobytes() == whole[order].tobytes()


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_score_when_a_feature_is_missing_then_only_that_row_has_no_score(
    specialists: Specialists, features: np.ndarray, missing: float
) -> None:
    """One unusable value silences its row and no other."""
    whole = serving.score(specialists, features[1:9])
    broken = features[1:9].copy()
    broken[4, 59] = missing
    scores = serving.score(specialists, broken)
    assert np.isnan(scores[4]).all()
    assert np.delete(scores, 4, axis=0).tobytes() == np.delete(whole, 4, axis=0).tobytes()


def test_score_when_no_rows_come_then_gives_none(specialists: Specialists) -> None:
    """An empty slice has an empty answer."""
    assert serving.score(specialists, np.empty((0, N_FEATURES))).shape == (0, 3)


def test_score_when_called_then_leaves_its_input_alone(
    specialists: Specialists, features: np.ndarray
) -> None:
    """The features belong to the caller."""
    kept = features.copy()
    serving.score(specialists, features)
    np.testing.assert_array_equal(features, kept)


def test_score_when_features_have_another_width_then_refuses(specialists: Specialists) -> None:
    """Fifty-nine columns cannot be the trained sixty."""
    with pytest.raises(ShapeError, match=r"\(n, 60\), was \(2, 59\)"):
        serving.score(specialists, np.zeros((2, 59)))
