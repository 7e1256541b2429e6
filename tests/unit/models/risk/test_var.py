"""Value at risk against numpy and by hand, and its rooms tight to the lot."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from models.arrays import Floats
from models.risk.limits import UNBOUNDED_LOTS
from models.risk.var import (
    EW_DECAY,
    NORMAL_QUANTILE,
    Variance,
    ew_covariance,
    ew_weights,
    exceedances,
    historical_room,
    historical_var,
    keeps_historical,
    known_weights,
    normal_var,
)

MOVES = st.lists(st.integers(-1_000, 1_000).map(float), min_size=21, max_size=80)


def test_historical_when_nothing_is_held_then_is_a_plain_zero() -> None:
    """Nobody loses -0.0 of equity, and a row of SQL would say so."""
    assert math.copysign(1.0, historical_var(np.zeros(20), 20)) == 1.0


def test_quantile_when_compared_then_is_that_of_the_normal() -> None:
    """95 % of a normal lie below it."""
    assert norm.ppf(0.95) == pytest.approx(NORMAL_QUANTILE, abs=1e-15)


@given(MOVES)
def test_historical_when_any_then_is_the_empirical_quantile_of_losses(moves: list[float]) -> None:
    """The smallest loss with at least 95 % of the bars at or below it, as numpy defines it."""
    earned = np.array(moves)
    expected = max(float(np.quantile(-earned, 0.95, method="inverted_cdf")), 0.0)
    assert historical_var(earned, len(earned)) == expected
    assert (earned < -expected).sum() <= exceedances(len(earned))


def test_historical_when_little_is_known_then_allows_fewer_exceedances() -> None:
    """Of 100 bars five may lose more; where only 60 are known three may, and none of 19."""
    earned = -np.arange(1.0, 101.0)
    assert [historical_var(earned, n) for n in (100, 60, 19)] == [95.0, 97.0, 100.0]
    assert historical_var(np.zeros(4), 200) == 0.0


def test_weights_when_made_then_fall_by_the_decay() -> None:
    """The newest counts 1 - decay, and all of an endless window would sum to one."""
    weights = ew_weights(250)
    assert weights[-1] == pytest.approx(1 - EW_DECAY)
    np.testing.assert_allclose(weights[1:] * EW_DECAY, weights[:-1], rtol=1e-12)
    assert known_weights(250)[250] == pytest.approx(1 - EW_DECAY**250, abs=1e-12)
    assert known_weights(250)[10] == pytest.approx(1 - EW_DECAY**10, abs=1e-12)


def test_covariance_when_followed_bar_by_bar_then_is_the_recursion() -> None:
    """RiskMetrics' recursion, begun at the first product, over a window that holds all of it."""
    draw = np.random.default_rng(5)
    first, second = draw.normal(size=(2, 400)) * 1e5
    recursive = 0.0
    for a, b in zip(first, second, strict=True):
        recursive = EW_DECAY * recursive + (1 - EW_DECAY) * a * b
    exact = recursive / (1 - EW_DECAY**400)
    found = ew_covariance(first, second, 400)
    assert found == pytest.approx(exact, rel=1e-12)
    assert normal_var(first, 400) == pytest.approx(
        NORMAL_QUANTILE * math.sqrt(ew_covariance(first, first, 400)), rel=1e-12
    )


def test_covariance_when_the_history_is_short_then_is_scaled_up() -> None:
    """Ten known bars of one size have that variance, however long the window is."""
    known = np.concatenate([np.zeros(90), np.full(10, 3.0)])
    assert ew_covariance(known, known, 10) == pytest.approx(9.0, rel=1e-12)
    assert ew_covariance(known, known, 0) == 0.0


def historical_passes(rest: Floats, each: Floats, lots: int, limit: float) -> bool:
    """Tell whether a book keeps the historical limit."""
    return historical_var(rest + lots * each, len(rest)) <= limit


@given(MOVES, st.data(), st.integers(0, 2_000), st.integers(0, 30))
def test_historical_room_when_any_then_is_tight_to_the_lot(
    moves: list[float], data: st.DataObject, limit: int, start: int
) -> None:
    """Every quantity up to it passes, and one lot more does not."""
    rest = np.array(moves)
    steps = st.lists(st.integers(-20, 20).map(float), min_size=len(moves), max_size=len(moves))
    each = np.array(data.draw(steps))
    most = historical_room(rest, each, start, float(limit), len(rest))
    last = min(most, start + 4_000)
    checked = sorted({*range(start + 1, min(last, start + 60) + 1), *range(last - 60, last + 1)})
    assert all(historical_passes(rest, each, x, float(limit)) for x in checked if start < x <= last)
    if most < UNBOUNDED_LOTS:
        assert not historical_passes(rest, each, most + 1, float(limit))


@given(MOVES, st.data(), st.integers(1, 2_000), st.integers(0, 30))
def test_normal_room_when_any_then_is_tight_to_the_lot(
    moves: list[float], data: st.DataObject, limit: int, start: int
) -> None:
    """The largest quantity passes by the variance itself, and one lot more does not."""
    rest = np.array(moves)
    steps = st.lists(st.integers(-20, 20).map(float), min_size=len(moves), max_size=len(moves))
    each = np.array(data.draw(steps))
    parabola = Variance.of(rest, each, len(rest))
    most = parabola.room(start, float(limit))

    def var(lots: int) -> float:
        return normal_var(rest + lots * each, len(rest))

    if most > start and most < UNBOUNDED_LOTS:
        assert var(most) <= limit * (1 + 1e-9)
    if most < UNBOUNDED_LOTS:
        assert var(most + 1) >= limit * (1 - 1e-9)
        assert parabola.var(most + 1) > limit
        assert parabola.var(most + 1) == pytest.approx(var(most + 1), rel=1e-6, abs=1e-3)


def test_rooms_when_the_symbol_does_not_move_then_are_unbounded() -> None:
    """What never moved adds no risk, if the book is within its limit."""
    rest, each = np.full(40, -1.0), np.zeros(40)
    assert historical_room(rest, each, 0, 1.0, 40) == UNBOUNDED_LOTS
    assert historical_room(rest, each, 0, 0.5, 40) == 0
    assert Variance.of(rest, each, 40).room(0, 2.0) == UNBOUNDED_LOTS
    assert Variance.of(rest, each, 40).room(7, 0.5) == 7


def test_historical_room_when_a_hedge_lifts_losses_then_counts_both_ways() -> None:
    """Lots that gain where the book loses pass until they lose where it gains."""
    rest = np.array([-10.0] * 10 + [10.0] * 10)
    each = -rest / 10.0
    # Lots lift the ten losing bars and press the ten gaining ones: 10 - x >= -5 up to x = 15.
    assert historical_room(rest, each, 0, 5.0, 20) == 0
    assert historical_room(rest, each, 5, 5.0, 20) == 15


def test_historical_room_when_one_bar_recovers_and_three_sink_then_ends_with_the_third() -> None:
    """Of 40 bars two may lose more than 5: one does until 5 lots lift it, three do from 6 on."""
    rest = np.array([-10.0, 0.0, 0.0, 0.0, *[1.0] * 36])
    each = np.array([1.0, -1.0, -1.0, -1.0, *[0.0] * 36])
    assert historical_room(rest, each, 0, 5.0, 40) == 5


@given(MOVES, st.data(), st.integers(0, 2_000), st.integers(1, 60))
def test_keeps_historical_when_plain_then_every_quantity_passes(
    moves: list[float], data: st.DataObject, limit: int, most: int
) -> None:
    """Nothing between none and the most breaks the limit, from whatever quantity one starts."""
    rest = np.array(moves)
    steps = st.lists(st.integers(-20, 20).map(float), min_size=len(moves), max_size=len(moves))
    each = np.array(data.draw(steps))
    if keeps_historical(rest, each, most, float(limit), len(rest)):
        assert all(historical_passes(rest, each, x, float(limit)) for x in range(most + 1))
        start = data.draw(st.integers(0, most - 1))
        assert historical_room(rest, each, start, float(limit), len(rest)) >= most


@given(MOVES, st.integers(0, 80))
def test_variance_when_any_then_has_the_covariances_to_the_last_bit(
    moves: list[float], n_bars: int
) -> None:
    """Computed together they are what each is alone, or a verdict could hang on a rounding."""
    rest, each = np.array(moves) / 3.0, np.array(moves[::-1]) / 7.0
    assert Variance.of(rest, each, n_bars) == (
        ew_covariance(each, each, n_bars),
        ew_covariance(rest, each, n_bars),
        ew_covariance(rest, rest, n_bars),
    )
