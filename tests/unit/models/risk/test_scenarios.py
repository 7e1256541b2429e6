"""Scenarios follow the book: bar by bar, order by order, equal to the exact reference."""

import numpy as np
import pytest

from models.portfolio.ledger import MONEY_SCALE
from models.risk.correlation import Centred
from models.risk.exposure import NOTHING, Stake
from models.risk.scenarios import Scenarios, weight_of
from models.risk.var import ew_covariance, ew_weights, historical_var

SYMBOLS = ("AAA", "BBB", "CCC")


def stake(money: int) -> Stake:
    """Build a stake of so much money, nothing open."""
    return Stake(*[money * MONEY_SCALE] * 3)


def test_scenarios_when_a_year_of_bars_and_orders_passed_then_equal_the_exact_reference() -> None:
    """Moved a thousand times, VaR and variance agree with a matrix product within 1e-12."""
    draw = np.random.default_rng(2)
    window = draw.normal(0, 0.01, (3, 250))
    stakes = {s: stake(100_000) for s in SYMBOLS}
    scenarios = Scenarios(SYMBOLS, window, stakes)
    for _ in range(1_000):
        symbol = SYMBOLS[int(draw.integers(3))]
        stakes[symbol] = stake(int(draw.integers(-(10**6), 10**6)))
        scenarios.move(symbol, stakes[symbol])
    exact = np.array([weight_of(stakes[s]) for s in SYMBOLS]) @ window
    np.testing.assert_allclose(scenarios.earned, exact, rtol=0, atol=1e-12 * np.abs(exact).max())
    assert historical_var(scenarios.earned, 250) == pytest.approx(
        np.quantile(-exact, 0.95, method="inverted_cdf"), rel=1e-12
    )
    assert ew_covariance(scenarios.earned, scenarios.earned, 250) == pytest.approx(
        np.average(exact**2, weights=ew_weights(250)), rel=1e-12
    )


def test_push_when_a_bar_comes_then_the_oldest_goes_and_stakes_are_valued_anew() -> None:
    """The window keeps its width; the vector is that of the new prices."""
    scenarios = Scenarios(("AAA",), np.array([[0.1, np.nan]]), {"AAA": stake(10)})
    assert (scenarios.seen, scenarios.n_bars) == ([1], 1)
    scenarios.push(np.array([0.5]), {"AAA": stake(20)})
    np.testing.assert_array_equal(scenarios.window, [[np.nan, 0.5]])
    assert scenarios.earned.tolist() == [0.0, 10.0]


def test_rest_when_a_symbol_is_taken_out_then_is_what_the_others_earned() -> None:
    """The book without AAA earns what BBB earns."""
    window = np.array([[0.1, 0.2], [0.4, 0.3]])
    scenarios = Scenarios(("AAA", "BBB"), window, {"AAA": stake(2), "BBB": stake(-3)})
    np.testing.assert_allclose(scenarios.rest("AAA"), -3 * window[1])
    assert not scenarios.is_alone("AAA")
    scenarios.move("BBB", NOTHING)
    assert scenarios.is_alone("AAA")
    assert Scenarios(("AAA",), window[:1], {}).is_alone("AAA")


def test_recent_when_asked_then_each_symbol_has_its_own() -> None:
    """Of the two newest bars AAA knows one: 0.0 and 0.2, less 0.1; BBB knows both."""
    window = np.array([[0.9, np.nan, 0.2], [0.9, 0.1, 0.3]])
    scenarios = Scenarios(("AAA", "BBB"), window, {})
    n_seen, own = scenarios.recent("AAA", 2)
    assert n_seen == 1
    np.testing.assert_allclose(own.moves, [-0.1, 0.1], rtol=1e-15)
    assert own.squares == pytest.approx(0.02, rel=1e-12)
    assert scenarios.recent("BBB", 2)[0] == 2
    scenarios.push(np.array([0.4, np.nan]), {})
    assert [scenarios.recent(s, 2)[0] for s in ("AAA", "BBB")] == [2, 1]


def test_recent_when_any_then_is_each_series_to_the_last_bit() -> None:
    """All symbols at once, or one alone: a correlation cannot hang on who else is asked about."""
    window = np.random.default_rng(8).normal(0, 0.02, (7, 90))
    scenarios = Scenarios(tuple("ABCDEFG"), window, {})
    for n_bars in (1, 7, 60, 90):
        for at, symbol in enumerate("ABCDEFG"):
            own, alone = scenarios.recent(symbol, n_bars)[1], Centred.of(window[at, -n_bars:])
            assert (own.moves.tobytes(), own.squares) == (alone.moves.tobytes(), alone.squares)


def test_known_when_histories_differ_then_the_shortest_in_the_book_counts() -> None:
    """A symbol counts once it is held, or asked about; an empty book knows all bars."""
    window = np.array([[0.1, 0.2, 0.3], [np.nan, 0.2, 0.3], [np.nan, np.nan, 0.3]])
    scenarios = Scenarios(SYMBOLS, window, {})
    assert (scenarios.n_known(), scenarios.n_known("BBB")) == (3, 2)
    scenarios.move("CCC", stake(5))
    assert (scenarios.n_known(), scenarios.n_known("AAA")) == (1, 1)
    scenarios.move("CCC", NOTHING)
    assert scenarios.n_known("AAA") == 3


def test_scenarios_when_restored_then_keep_the_vector_to_the_last_bit() -> None:
    """Made anew it could differ in rounding, and a restart must not show."""
    earned = np.array([1.0 + 2**-52])
    window = np.array([[0.1]])
    assert Scenarios(("AAA",), window, {"AAA": stake(10)}, earned).earned is earned


def test_move_when_the_symbol_is_strange_then_changes_nothing() -> None:
    """A position outside the universe has no returns to move by."""
    scenarios = Scenarios(("AAA",), np.array([[0.1]]), {"AAA": stake(10)})
    scenarios.move("ZZZ", stake(5))
    assert scenarios.earned.tolist() == [1.0]
