"""Figures of training episodes, by hand."""

import math

import numpy as np
import pytest

from models.weights import episodes
from models.weights.episodes import Episode


def test_episode_when_it_never_had_a_bar_then_is_empty() -> None:
    """No bars, no gain, no win."""
    assert Episode.of(np.array([])) == Episode(0.0, 0, 0.0)


def test_rolling_sharpe_when_windows_roll_then_each_is_mean_over_deviation() -> None:
    """The same numbers from the standard library's mean and deviation."""
    gains = np.random.default_rng(73).normal(size=30)
    ratios = episodes.rolling_sharpe([Episode(float(gain), 5, 0.5) for gain in gains], 10)
    assert ratios[:9] == [None] * 9
    for end in range(10, 31):
        part = gains[end - 10 : end]
        assert ratios[end - 1] == pytest.approx(np.mean(part) / np.std(part, ddof=1))


def test_summary_when_training_was_long_then_compares_its_begin_and_end() -> None:
    """A hundred lost, fifty idle, a hundred won."""
    course = [Episode(gain, 20, win) for gain, win in ((-1.0, 0.0),) * 100]
    course += [Episode(0.0, 20, 0.5)] * 50 + [Episode(1.0 + 0.01 * k, 20, 1.0) for k in range(100)]
    found = episodes.summary(course)
    assert found["episodes"] == 250
    assert found["length_bars"] == 20.0
    assert found["return_first"] == -1.0
    assert found["return_last"] == pytest.approx(1.495)
    assert found["win_fraction"] == 1.0
    last = np.array([1.0 + 0.01 * k for k in range(90, 100)])
    assert found["sharpe_10"] == pytest.approx(last.mean() / last.std(ddof=1))


def test_summary_when_training_was_short_then_has_no_long_ratios() -> None:
    """Twelve episodes have a ratio over ten of them, and none over fifty."""
    found = episodes.summary([Episode(0.01 * k, 20, 0.5) for k in range(12)])
    assert found["sharpe_10"] is not None
    assert found["sharpe_50"] is found["sharpe_100"] is None


def test_series_when_updates_have_two_episodes_then_is_their_mean_and_the_ratio_after_them() -> (
    None
):
    """Twelve episodes in updates of two: the ratio of ten is known from the fifth update on."""
    gains = [0.01 * (1 + n % 3) for n in range(12)]
    found = episodes.series([Episode(gain, 5, 0.5) for gain in gains], 2)
    assert found["episode_return"] == pytest.approx(
        [(gains[n] + gains[n + 1]) / 2 for n in range(0, 12, 2)]
    )
    assert found["episode_length_bars"] == [5.0] * 6
    ratios = found["episode_sharpe_10"]
    assert ratios[:4] == [None] * 4
    last = gains[2:12]
    mean = sum(last) / 10
    deviation = math.sqrt(sum((gain - mean) ** 2 for gain in last) / 9)
    assert ratios[5] == pytest.approx(mean / deviation)
    assert found["episode_sharpe_50"] == [None] * 6


def test_series_when_an_update_is_incomplete_then_it_is_left_out() -> None:
    """A training that was cut short has no half values."""
    assert episodes.series([Episode(1.0, 5, 0.5)] * 3, 2)["episode_return"] == [1.0]
    assert episodes.series([], 2)["episode_return"] == []
