"""The slope of memory: a planted one is found through restarts, and its bounds hold it."""

import math

import numpy as np

from tests.chaos.soak import Sample, Soaked
from tests.evidence.soak import files_grown, slope, told


def grown(per_hour: float, n_lives: int = 6, seed: int = 1) -> list[Sample]:
    """Give an hour of samples: each life begins at another size and climbs while it warms up."""
    draw = np.random.default_rng(seed)
    samples = []
    for life in range(n_lives):
        level = 250.0 + 20.0 * draw.random()
        for at in range(0, 600, 2):
            warm = -50.0 * math.exp(-at / 20.0)
            mb = level + warm + per_hour * at / 3_600 + draw.normal(0.0, 0.3)
            samples.append(Sample("worker-0", life, life * 610.0 + at, mb, 40 + at // 300))
    return samples


def test_slope_when_planted_then_lies_within_its_bounds() -> None:
    """Neither the level of a life nor its warming up counts as growth."""
    for planted in (0.0, 60.0):
        found = slope(grown(planted))
        assert found.low < planted < found.high
        assert found.high - found.low < 10.0


def test_slope_when_little_was_seen_then_is_no_number() -> None:
    """A process that lived for a minute says nothing of hours."""
    assert math.isnan(slope(grown(0.0)[:30]).per_hour)


def test_files_when_a_life_ends_then_are_compared_with_its_begin() -> None:
    """Behind the two minutes, one more file was open from the fifth minute on."""
    assert files_grown(grown(0.0)) == 1


def test_soak_when_bars_are_late_then_they_are_not_available() -> None:
    """Two of four bars took longer than a bar: half of the time nothing could be traded."""
    found = told(Soaked(late_s=[0.1, 0.2, 10.1, 30.0], samples=grown(0.0)))
    assert (found.value, found.holds, found.n) == (50.0, False, 4)
