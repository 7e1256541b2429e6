"""The chain in one piece against the stages, and row by row."""

import numpy as np

from models import chain
from tests.builders import models

N = 5


def bars(n_bars: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw features and closes."""
    draw = np.random.default_rng(9)
    return [(draw.normal(0, 0.02, (N, 60)) + 0.05, draw.uniform(9, 11, N)) for _ in range(n_bars)]


def test_step_when_rows_are_split_then_gives_the_same_bytes() -> None:
    """No row depends on its company: whole slices and single rows agree bit for bit."""
    given, whole, single = models(), chain.initial_state(N), chain.initial_state(N)
    for features, close in bars(20):
        whole, wish = chain.step(given, whole, np.arange(N), features, close)
        parts = []
        for row in range(N):
            at = np.array([row])
            single, part = chain.step(given, single, at, features[at], close[at])
            parts.append(part)
        for name in chain.Wish._fields:
            together = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(getattr(wish, name), together)
    assert np.isfinite(wish.target_fraction).all()
