"""Measures against numbers worked out by hand and against plain loops."""

import math

import numpy as np
import pytest

from models import measures
from models.errors import HistoryTooShort, ShapeError


def test_moved_when_three_specialists_hold_two_assets_and_cash_then_is_half_the_l1_change() -> None:
    """0.4 goes from a stock book to a mixed one: half of (0.4 * 1 + 0.4 * 0.5 + 0.4 * 0.5)."""
    books = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1]])
    assert measures.moved(probabilities, np.stack([books, books])) == pytest.approx([0.0, 0.4])


def test_moved_when_two_specialists_agree_then_a_switch_between_them_moves_nothing() -> None:
    """Disruption is a property of the books, not of the labels."""
    same = np.tile([[0.6, 0.4], [0.6, 0.4]], (2, 1, 1))
    assert measures.moved(np.array([[1.0, 0.0], [0.0, 1.0]]), same).tolist() == [0.0, 0.0]


def test_moved_when_specialists_trade_by_themselves_then_counts_nothing() -> None:
    """Without a change of probabilities only the specialists moved."""
    books = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]])
    assert measures.moved(np.full((2, 2), 0.5), books).tolist() == [0.0, 0.0]


def test_moved_when_shapes_disagree_then_says_both() -> None:
    """Two portfolios cannot be blended by three probabilities."""
    with pytest.raises(ShapeError, match=r"\(4, 2, 5\) beside \(4, 3\)"):
        measures.moved(np.zeros((4, 3)), np.zeros((4, 2, 5)))


def test_disruption_when_summarised_then_gives_the_four_numbers_and_their_events() -> None:
    """Hard flips at 0.6 and 0.2, own flip at 0.2; ten bars of a year of 20 move 0.9 in all."""
    moves = np.array([0.0, 0.6, 0.0, 0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0])
    hard = measures.flips(np.array([0, 1, 1, 0, 0, 0, 0, 0, 0, 0]))
    own = measures.flips(np.array([2, 2, 2, 1, 1, 1, 1, 1, 1, 1]))
    found = measures.disruption(moves, hard, own, bars_per_year=20)
    assert (found.n_hard_flips, found.n_own_flips) == (2, 1)
    # The 99th percentile of ten values lies 0.91 of the way from the ninth, 0.2, to the tenth.
    expected = (0.4, 0.2, 0.2 + 0.91 * 0.4, 0.09 * 20)
    assert found[:4] == pytest.approx(expected)


def test_disruption_when_nothing_flips_then_its_means_are_unknown() -> None:
    """A mean over no event is NaN, not zero: a constant blend does not earn a perfect score."""
    never = np.zeros(3, np.bool_)
    found = measures.disruption(np.zeros(3), never, never, bars_per_year=252)
    assert math.isnan(found.at_hard_flips)
    assert math.isnan(found.at_own_flips)
    assert found.p99 == 0.0


def test_disruption_when_shapes_disagree_then_refuses() -> None:
    """Events of another history say nothing about these moves."""
    with pytest.raises(ShapeError, match=r"\(3,\), \(2,\) and \(3,\)"):
        measures.disruption(
            np.zeros(3), np.zeros(2, np.bool_), np.zeros(3, np.bool_), bars_per_year=1
        )


def test_flips_when_a_label_is_unknown_then_only_known_changes_count() -> None:
    """Going silent and coming back is no change of regime."""
    assert measures.flips(np.array([1, 1, -1, 1, 0])).tolist() == [False] * 4 + [True]


def test_degradation_when_losses_double_then_each_window_says_by_how_much() -> None:
    """Means (1, 1.5, 2) against (1, 1, 1) are 0 %, 50 % and 100 % worse."""
    worse = measures.degradation(np.array([1.0, 1.0, 2.0, 2.0]), np.ones(4), 2)
    assert worse.tolist() == [0.0, 0.5, 1.0]


def test_degradation_when_the_history_is_shorter_than_a_window_then_refuses() -> None:
    """29 days are no 30-day window."""
    with pytest.raises(HistoryTooShort, match="30 bars, was 29"):
        measures.degradation(np.ones(29), np.ones(29), 30)


def test_degradation_when_shapes_disagree_then_refuses() -> None:
    """Losses are compared bar by bar."""
    with pytest.raises(ShapeError, match=r"\(3,\) beside \(2,\)"):
        measures.degradation(np.ones(3), np.ones(2), 1)


def test_sharpe_when_returns_are_known_then_equals_the_formula() -> None:
    """Mean 0.02 and sample deviation 0.01 of three bars, 252 a year: 2 sqrt 252."""
    returns = np.array([0.01, np.nan, 0.02, 0.03])
    assert measures.sharpe(returns, bars_per_year=252) == pytest.approx(2.0 * math.sqrt(252))


@pytest.mark.parametrize("returns", [[0.01], [0.01, 0.01, 0.01], []])
def test_sharpe_when_there_is_no_deviation_then_is_unknown(returns: list[float]) -> None:
    """A ratio over nothing is NaN, never infinite."""
    assert math.isnan(measures.sharpe(np.array(returns), bars_per_year=252))


def test_max_drawdown_when_wealth_falls_twice_then_is_the_deepest_from_its_peak() -> None:
    """1, 0.9, 1.8, 1.35, 1.08: forty percent below 1.8, though the first bar was a fall too."""
    returns = np.array([-0.1, 1.0, -0.25, np.nan, -0.2])
    assert measures.max_drawdown(returns) == pytest.approx(-0.4)


def test_max_drawdown_when_wealth_only_rises_then_is_zero() -> None:
    """Wealth starts at one, which is a peak."""
    assert measures.max_drawdown(np.array([0.1, 0.2])) == 0.0


def test_block_counts_when_drawn_then_are_the_circular_blocks_of_the_same_generator() -> None:
    """Seven bars in blocks of three: two whole blocks and the first bar of a third, by a loop."""
    draw = np.random.default_rng(5)
    begins = draw.integers(0, 7, (40, 3, 1))[:, :, 0]
    expected = np.zeros((40, 7))
    for row in range(40):
        bars = [(begin + step) % 7 for begin in begins[row] for step in range(3)]
        for bar in bars[:7]:
            expected[row, bar] += 1
    counts = measures.block_counts(7, block_bars=3, n_draws=40, seed=5)
    np.testing.assert_array_equal(counts, expected)
    assert set(counts.sum(axis=1)) == {7.0}


def test_block_counts_when_a_block_is_longer_than_the_history_then_refuses() -> None:
    """Sixty days cannot be drawn from fifty."""
    with pytest.raises(HistoryTooShort, match="60 bars, was 50"):
        measures.block_counts(50, block_bars=60, n_draws=1, seed=0)


def test_resampled_sharpe_when_bars_are_drawn_then_equals_the_sharpe_of_the_drawn_bars() -> None:
    """Counting bars and writing them out one after another give the same ratio."""
    draw = np.random.default_rng(6)
    returns = draw.normal(0.001, 0.01, (200, 2))
    returns[:50, 1] = np.nan
    counts = measures.block_counts(200, block_bars=20, n_draws=25, seed=7)
    found = measures.resampled_sharpe(counts, returns, 252.0)
    for row in range(25):
        for asset in range(2):
            drawn = np.repeat(returns[:, asset], counts[row].astype(int))
            drawn = drawn[np.isfinite(drawn)]
            expected = drawn.mean() / drawn.std(ddof=1) * math.sqrt(252)
            assert found[row, asset] == pytest.approx(expected, rel=1e-9)


def test_interval_when_returns_are_independent_then_covers_the_truth_as_often_as_it_says() -> None:
    """Of 100 samples with a known Sharpe ratio, the 95 % interval holds it in at least 88."""
    truth, covered = 0.05 * math.sqrt(252), 0
    counts = measures.block_counts(600, block_bars=10, n_draws=400, seed=8)
    for sample in range(100):
        returns = np.random.default_rng([9, sample]).normal(0.05, 1.0, (600, 1))
        low, high = measures.interval(measures.resampled_sharpe(counts, returns, 252.0)[:, 0])
        covered += low <= truth <= high
    # Binomial(100, 0.95) lies below 88 once in 400 times; the seeds are fixed.
    assert covered >= 88
