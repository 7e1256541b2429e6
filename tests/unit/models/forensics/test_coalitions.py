"""Coalitions by parts against the serving code, row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features.catalogue import NAMES
from models.forensics.coalitions import scores, split
from models.specialists.serving import attend
from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS
from tests.builders import specialists

SPECIALISTS = specialists(np.random.default_rng(7), 3)


@given(
    seed=st.integers(0, 999),
    n_players=st.integers(1, len(NAMES)),
    n_unseen=st.integers(0, LENGTH_BARS - 1),
)
def test_scores_when_compared_with_serving_then_are_equal(
    seed: int, n_players: int, n_unseen: int
) -> None:
    """Any players, any coalition, clipped inputs and bars that were not seen."""
    draw = np.random.default_rng(seed)
    mean, scale = SPECIALISTS.mean, SPECIALISTS.scale
    features = mean + scale * draw.normal(size=len(NAMES)) * 4
    window = mean[COLUMNS] + scale[COLUMNS] * draw.normal(size=(LENGTH_BARS, len(ATTENDED))) * 4
    window[-1] = features[COLUMNS]
    window[draw.permutation(LENGTH_BARS - 1)[:n_unseen], 0] = np.nan
    player_of = draw.integers(n_players, size=len(NAMES))
    player_of[:n_players] = np.arange(n_players)
    there = draw.random((5, n_players + 1)) < 0.5
    there[0] = True
    rows = np.where(there[:, player_of], features, mean)
    windows = np.repeat(window[None], len(there), axis=0)
    seen = np.isfinite(window[:-1]).all(axis=1)
    absent = np.where(seen[:, None], mean[COLUMNS], np.nan)
    windows[:, :-1] = np.where(there[:, -1, None, None], window[:-1], absent)
    windows[:, -1] = rows[:, COLUMNS]
    expected, _ = attend(SPECIALISTS, rows, windows)
    found = scores(SPECIALISTS, split(SPECIALISTS, features, window, player_of), there)
    assert found == pytest.approx(expected, abs=1e-11)
