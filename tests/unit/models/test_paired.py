"""Losses, earnings and the width of the sequence that may be looked at after every bar."""

import math

import numpy as np
import pytest

from models import paired


def test_losses_when_sure_and_wrong_then_are_bounded() -> None:
    """One bar costs ln 1000 at most."""
    known = np.array([[True]])
    assert paired.losses(np.array([[1.0]]), np.array([[-0.1]]), known)[0] == pytest.approx(
        math.log(1000.0)
    )


def test_losses_when_nothing_moved_then_counts_half_a_rise() -> None:
    """An unchanged close: half of each."""
    found = paired.losses(np.array([[0.8]]), np.array([[0.0]]), np.array([[True]]))
    assert found[0] == pytest.approx(-0.5 * math.log(0.8) - 0.5 * math.log(0.2))


def test_earned_when_short_or_unknown_then_is_nothing() -> None:
    """Books buy and sell; they do not go short."""
    target, moved = np.array([[-0.5, np.nan, 0.2]]), np.array([[-0.1, 0.1, 0.1]])
    assert paired.earned(target, moved, np.ones((1, 3), bool))[0] == pytest.approx(0.02)


def test_radius_when_there_is_one_observation_then_is_infinite() -> None:
    """One number has no deviation."""
    assert math.isinf(float(paired.radius(1.0, 0.0, tightest_at=10.0)))


def test_radius_when_compared_then_is_narrowest_where_it_was_tuned() -> None:
    """Relative to all other choices, at that count; and wider than a single test's 1.96."""
    count, one = 500.0, 1.0
    tuned = float(paired.radius(count, one, tightest_at=500.0))
    for other in (50.0, 250.0, 1000.0, 5000.0):
        assert tuned < float(paired.radius(count, one, tightest_at=other))
    assert tuned > 1.96 / math.sqrt(500)
