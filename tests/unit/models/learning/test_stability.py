"""The gate: what is worse is refused, what is not shown harmless waits."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from models import paired
from models.errors import ShapeError
from models.learning import stability
from models.learning.stability import Said, judge

N_BARS, N_SYMBOLS = 30, 8
DRAW = np.random.default_rng(77)
RETURNS = 0.01 * DRAW.standard_normal((N_BARS, N_SYMBOLS))
RISES = RETURNS > 0.0
HELD = np.full(RETURNS.shape, 0.05)


def said(right: float, held: np.ndarray = HELD) -> Said:
    """Give the direction that comes a probability."""
    return Said(np.where(RISES, right, 1.0 - right), held)


def judged(before: Said, after: Said) -> stability.Stability:
    """Judge on daily bars."""
    return judge(before, after, RETURNS, bars_per_year=252.0)


def test_judge_when_nothing_changed_then_passes() -> None:
    """The same model again differs by nothing."""
    found = judged(said(0.52), said(0.52))
    assert found.passed
    assert (found.lower, found.upper, found.sharpe_degradation_fraction) == (0.0, 0.0, 0.0)
    assert found.loss_champion == pytest.approx(-math.log(0.52))


@pytest.mark.parametrize(
    ("after", "reasons"),
    [
        (0.6, ()),
        (0.5195, ("LOSS_WORSE",)),
        (0.51, ("LOSS_WORSE", "NOT_SHOWN_HARMLESS")),
        (0.5, ("LOSS_WORSE", "NOT_SHOWN_HARMLESS")),
        (0.45, ("LOSS_WORSE", "NOT_SHOWN_HARMLESS")),
        (0.3, ("LOSS_WORSE", "NOT_SHOWN_HARMLESS", "LOSS_DEGRADED")),
    ],
)
def test_judge_when_the_loss_changes_then_says_how_much(
    after: float, reasons: tuple[str, ...]
) -> None:
    """Of the 0.0392 nats that 0.52 gains over ln 2 a twentieth may go.

    0.5195 gives up 2 %, 0.51 a half, and who says one half of everything all of them.
    """
    found = judged(said(0.52), said(after))
    assert found.reasons == reasons
    expected = math.log(0.52) / math.log(after)
    assert found.loss_degradation_fraction == pytest.approx(1.0 / expected - 1.0)


def test_judge_when_differences_are_wide_then_is_not_shown_harmless() -> None:
    """The mean may be equal; what could be worse by 5 % of the gain is not let in."""
    sure = np.where(DRAW.random(RETURNS.shape) < 0.75, RISES, ~RISES)
    found = judged(said(0.5), Said(np.where(sure, 0.9, 0.1), HELD))
    assert found.upper > paired.tolerated(found.loss_champion)
    assert "NOT_SHOWN_HARMLESS" in found.reasons


def test_judge_when_the_book_earns_much_less_then_the_second_guard_refuses() -> None:
    """The losses are equal and the targets are not: the Sharpe ratio falls by more than 30 %."""
    best, worst = np.where(RISES, 0.1, 0.0), np.where(RISES, 0.0, 0.1)
    found = judged(said(0.52, best), said(0.52, worst))
    assert found.reasons == ("SHARPE_DEGRADED",)
    earned = (best * RETURNS).sum(axis=1)
    assert found.sharpe_pre == pytest.approx(earned.mean() / earned.std(ddof=1) * math.sqrt(252.0))
    assert found.sharpe_post < 0.0
    assert found.sharpe_degradation_fraction > 1.0
    fall = (found.sharpe_pre - found.sharpe_post) / found.sharpe_pre
    assert found.sharpe_degradation_fraction == pytest.approx(fall)


def test_judge_when_a_ratio_is_near_zero_then_its_fall_is_measured_against_one() -> None:
    """From a ratio of nothing, 30 % of nothing would refuse everything."""
    returns = np.tile([[0.01], [-0.01]], (10, 1))
    even, held = np.full(returns.shape, 0.5), np.full(returns.shape, 0.1)
    less = np.tile([[0.1], [0.101]], (10, 1))
    found = judge(Said(even, held), Said(even, less), returns, bars_per_year=1.0)
    assert found.sharpe_pre == 0.0
    # Of twenty, -0.0005 over 0.1005 with ddof 1.
    assert found.sharpe_degradation_fraction == pytest.approx(0.0005 / 0.1005 * math.sqrt(19 / 20))
    assert found.passed


@pytest.mark.parametrize("silent", [0, 1])
def test_judge_when_one_has_no_ratio_then_nobody_is_let_in(silent: int) -> None:
    """Of who trades nothing nobody knows what the other one's trades are worth beside it."""
    pair = [said(0.52), said(0.52)]
    pair[silent] = said(0.52, np.zeros(RETURNS.shape))
    found = judged(*pair)
    assert found.reasons == ("SHARPE_UNKNOWN",)
    name = ("sharpe_pre", "sharpe_post")[silent]
    assert math.isnan(getattr(found, name))
    assert found.record()[name] is None


def test_judge_when_ranked_then_is_the_rank_correlation_of_the_candidate() -> None:
    """scipy's, bar by bar; what the champion ranked counts for nothing."""
    up = DRAW.uniform(0.4, 0.6, RETURNS.shape)
    found = judged(said(0.52), Said(up, HELD))
    by_bar = [spearmanr(*rows).statistic for rows in zip(up, RETURNS, strict=True)]
    assert found.rank_ic == pytest.approx(np.mean(by_bar))
    assert math.isnan(judge(*pair_of_one(), RETURNS[:, :1], bars_per_year=252.0).rank_ic)


def pair_of_one() -> tuple[Said, Said]:
    """Give the same model twice, with one symbol."""
    one = Said(*(part[:, :1] for part in said(0.52)))
    return one, one


def test_beside_fit_when_small_steps_add_up_then_refuses() -> None:
    """The champion let each step in; the fit knows how far it has gone. Books may differ."""
    best, worst = np.where(RISES, 0.1, 0.0), np.where(RISES, 0.0, 0.1)
    found = judged(said(0.52), said(0.5195, best))
    of_fit = judged(said(0.54, best), said(0.5195, worst))
    assert "SHARPE_DEGRADED" in of_fit.reasons
    told = stability.beside_fit(found, of_fit)
    assert told.reasons == ("LOSS_WORSE", "FIT_LOSS_WORSE", "FIT_NOT_SHOWN_HARMLESS")
    assert told.loss_champion == found.loss_champion
    same = judged(said(0.52), said(0.52))
    assert stability.beside_fit(same, same).passed


def test_judge_when_the_ratio_falls_below_one_then_is_measured_against_one() -> None:
    """From 0.5 to 0.3 is a fall by 0.2, not by 40 %: losing a fraction of little is chance."""
    # Twenty bars up and down in turns, by a percent: earned is 0.01 times what is held of each.
    returns = np.tile([[0.01], [-0.01]], (10, 1))
    even = np.full(returns.shape, 0.5)
    before, after = (
        Said(even, np.tile([[up], [down]], (10, 1))) for up, down in ((3.0, 1.0), (13.0, 7.0))
    )
    found = judge(before, after, returns, bars_per_year=1.0)
    # Mean (up - down) / 2 over deviation (up + down) / 2, that of twenty with ddof 1.
    shrunk = math.sqrt(19 / 20)
    assert (found.sharpe_pre, found.sharpe_post) == pytest.approx((0.5 * shrunk, 0.3 * shrunk))
    assert found.sharpe_degradation_fraction == pytest.approx(0.2 * shrunk)
    assert found.passed


@pytest.mark.parametrize(("n_bars", "reasons"), [(9, ("TOO_FEW_BARS",)), (10, ())])
def test_judge_when_ten_bars_are_there_then_says_something(
    n_bars: int, reasons: tuple[str, ...]
) -> None:
    """Ten are the fewest that may promote a model that said the same."""
    few = said(0.52)
    cut = Said(*(part[:n_bars] for part in few))
    assert judge(cut, cut, RETURNS[:n_bars], bars_per_year=252.0).reasons == reasons


def test_judge_when_bars_are_few_then_never_promotes() -> None:
    """Nine bars say nothing, however good they are."""
    few = tuple(Said(*(part[:9] for part in each)) for each in (said(0.5), said(0.9)))
    assert judge(*few, RETURNS[:9], bars_per_year=252.0).reasons == ("TOO_FEW_BARS",)


def test_judge_when_one_says_nothing_then_the_bar_counts_for_neither() -> None:
    """Both are held against the same rows."""
    silent = said(0.9)
    silent.probability_up[:12] = np.nan
    assert judged(said(0.52), silent).n_bars == N_BARS - 12
    none = said(0.9)
    none.probability_up[:] = np.nan
    assert judged(said(0.52), none).record()["loss_champion"] is None


def test_judge_when_shapes_differ_then_is_refused() -> None:
    """A stretch of another length is an error of the caller."""
    with pytest.raises(ShapeError, match="must be"):
        judge(said(0.5), Said(*(part[1:] for part in said(0.5))), RETURNS, bars_per_year=252.0)


def test_bounds_when_looked_at_after_every_bar_then_cover_at_all_of_them() -> None:
    """At most one run in twenty leaves the mean outside at any bar from the tenth on."""
    draw = np.random.default_rng(79)
    n_runs, n = 400, 120
    spread = -2.0 * math.log(0.05)
    squared = (spread + math.log(spread) + 1.0) / n
    t = np.arange(10, n + 1)
    scaled = t * squared + 1.0
    factors = np.sqrt(2.0 * scaled / (t * t * squared) * np.log(np.sqrt(scaled) / 0.05))
    missed = 0
    for _ in range(n_runs):
        drawn = draw.standard_normal(n)
        means = np.cumsum(drawn)[9:] / t
        spreads = np.array([drawn[:k].std() for k in t])
        missed += bool((np.abs(means) > spreads * factors).any())
        lower, upper = stability.bounds(drawn)
        assert (lower, upper) == pytest.approx(
            (drawn.mean() - drawn.std() * factors[-1], drawn.mean() + drawn.std() * factors[-1])
        )
    assert missed / n_runs <= 0.05


def test_bounds_when_there_is_one_difference_then_are_infinite() -> None:
    """One number has no deviation."""
    assert stability.bounds(np.array([0.1])) == (-math.inf, math.inf)
    assert np.isfinite(stability.bounds(np.array([0.1, 0.2]))).all()
