"""Caps on weights: kept exactly, in proportion, or named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.caps import capped, over

WEIGHTS = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=30).map(
    lambda raw: {f"S{n:02}": each / math.fsum(raw) for n, each in enumerate(raw)}
)


@given(WEIGHTS, st.floats(0.01, 1.0))
def test_capped_when_a_cap_can_be_kept_then_is_and_the_rest_keep_their_proportion(
    weights: dict[str, float], most: float
) -> None:
    """Who is below the cap keeps the same ratio to the others there; a larger one has no less."""
    found = capped(weights, most)
    assert list(found) == list(weights)
    assert math.fsum(found.values()) == pytest.approx(1.0)
    if most * len(weights) < 1.0:
        assert found == weights
        return
    assert max(found.values()) <= most + 1e-6
    free = [symbol for symbol, share in found.items() if share < most - 1e-6]
    ratios = [found[symbol] / weights[symbol] for symbol in free]
    assert all(ratio == pytest.approx(ratios[0]) for ratio in ratios)
    assert all(ratio >= 1.0 - 1e-9 for ratio in ratios)


def test_capped_when_one_gift_lifts_another_above_then_both_are_held() -> None:
    """By hand, cap 0.3: A gives 0.2 away, B would get 0.348, so C and D share 0.4 as 0.15 to 0.06.

    0.4 * 15 / 21 is 0.2857, below the cap.
    """
    found = capped({"A": 0.5, "B": 0.29, "C": 0.15, "D": 0.06}, 0.3)
    assert found == pytest.approx({"A": 0.3, "B": 0.3, "C": 0.4 * 15 / 21, "D": 0.4 * 6 / 21})


def test_capped_when_the_cap_leaves_one_way_then_takes_it() -> None:
    """Four symbols at a quarter each."""
    found = capped({"A": 0.4, "B": 0.3, "C": 0.2, "D": 0.1}, 0.25)
    assert found == pytest.approx(dict.fromkeys("ABCD", 0.25))


def test_capped_when_too_few_have_a_weight_then_stays() -> None:
    """What has no weight gets none, so two symbols cannot share one under a cap of 0.4."""
    weights = {"A": 0.7, "B": 0.3, "C": 0.0}
    assert capped(weights, 0.4) == weights


def test_over_when_a_weight_is_at_its_cap_then_is_not_above() -> None:
    """Equal is kept; a sector adds its assets up; no sector is the symbol itself."""
    weights = {"A": 0.25, "B": 0.3, "C": 0.45}
    sectors = {"A": "x", "B": "x"}
    assert over(weights, 0.45, sectors, 0.55) == []
    assert over(weights, 0.4, sectors, 0.5) == [("C", 0.45, 0.4), ("x", 0.55, 0.5)]
