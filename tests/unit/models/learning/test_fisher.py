"""The Fisher information: known where a formula is known, and zero where a weight says nothing."""

import numpy as np
import pytest
import torch

from models.learning import fisher

DRAW = np.random.default_rng(71)
X = torch.from_numpy(DRAW.normal(size=(600, 3)))
COUNTED = torch.from_numpy(DRAW.uniform(size=600))
SLOPES = {"slopes": torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)}


def product(weights: fisher.Weights, row: torch.Tensor) -> torch.Tensor:
    """Give the output of a linear model."""
    return row @ weights["slopes"]


def test_diagonal_when_noise_is_gaussian_then_is_the_mean_square_over_the_variance() -> None:
    """E[x^2] / sigma^2 is what a linear model with Gaussian noise has, over more than one tile."""
    found = fisher.diagonal(product, SLOPES, (X,), COUNTED, lambda z: torch.full_like(z, 1 / 0.04))
    share = (COUNTED / COUNTED.sum())[:, None]
    assert found["slopes"].numpy() == pytest.approx((share * X**2).sum(dim=0).numpy() / 0.04, 1e-12)


def test_diagonal_when_outcomes_are_odds_then_counts_rows_by_their_doubt() -> None:
    """E[p (1 - p) x^2] is what logistic regression has."""
    found = fisher.diagonal(product, SLOPES, (X,), COUNTED, fisher.bernoulli)
    up = 1.0 / (1.0 + np.exp(-(X.numpy() @ SLOPES["slopes"].numpy())))
    share = COUNTED.numpy() / COUNTED.numpy().sum()
    expected = ((share * up * (1.0 - up))[:, None] * X.numpy() ** 2).sum(axis=0)
    assert found["slopes"].numpy() == pytest.approx(expected, 1e-12)


def test_diagonal_when_a_weight_is_not_used_then_has_no_information() -> None:
    """What no output depends on may move freely."""
    idle = {**SLOPES, "idle": torch.ones(2, dtype=torch.float64)}
    found = fisher.diagonal(product, idle, (X,), COUNTED, torch.ones_like)
    assert found["idle"].tolist() == [0.0, 0.0]
