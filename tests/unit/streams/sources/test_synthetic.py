"""The synthetic market: deterministic, and what is planted can be found again."""

import numpy as np
import pytest

from models.regime.posterior import REGIMES
from streams.errors import SettingsError
from streams.sources.synthetic import (
    DRIFT,
    LARGEST_LOTS,
    LOT,
    NOISE,
    START_NS,
    STATES,
    STAY,
    VOLATILITY,
    SyntheticTape,
)
from streams.sources.tape import Interval
from streams.timestamps import TIMEFRAMES_NS, parse_ns

SECOND = 10**9


def tape(**changed: object) -> SyntheticTape:
    """Return a small tape, with some arguments changed."""
    arguments = {"symbols": 3, "bars": 600, "ticks_per_bar": 4, "seed": 11, **changed}
    return SyntheticTape(**arguments)


def stretch(of: SyntheticTape, first: int, last: int) -> list[Interval]:
    """Return the intervals of bars first .. last, counted from 0."""
    closes = of.closes_ns()
    return list(of.intervals(closes[first], closes[last]))


def closing_logs(of: SyntheticTape) -> np.ndarray:
    """Return the logarithms of all closes, (bars, symbols)."""
    bars = stretch(of, 0, -1)
    return np.log([[ticks[-1].price for ticks in bar.ticks.values()] for bar in bars])


@pytest.fixture(scope="module")
def large() -> SyntheticTape:
    """Return a market with enough bars and symbols to estimate from."""
    return tape(symbols=100, bars=6_000, ticks_per_bar=1)


@pytest.fixture(scope="module")
def moves(large: SyntheticTape) -> np.ndarray:
    """Return the large market's log returns from bar 1 on, (bars - 1, symbols)."""
    return np.diff(closing_logs(large), axis=0)


def test_start_when_read_as_a_date_then_is_a_monday() -> None:
    """The default start is what its comment says."""
    assert parse_ns("2026-01-05T00:00:00Z") == START_NS
    assert (START_NS // TIMEFRAMES_NS["1day"] + 3) % 7 == 0


def test_states_when_compared_with_the_models_then_have_one_order() -> None:
    """A planted state and a regime probability of the same position are about the same thing."""
    assert STATES == REGIMES


def test_drift_when_states_occur_as_often_as_planned_then_cancels() -> None:
    """Over a long time the market goes nowhere: 200 bars up by 3, 120 bars down by 5."""
    bars_per_visit = [1 / (1 - stay) for stay in STAY]
    np.testing.assert_allclose(bars_per_visit, [200, 120, 150])
    assert np.dot(bars_per_visit, DRIFT) == pytest.approx(0.0, abs=1e-12)


def test_intervals_when_arguments_are_equal_then_ticks_are_equal() -> None:
    """The seed alone decides."""
    assert stretch(tape(), 0, -1) == stretch(tape(), 0, -1)
    assert stretch(tape(seed=12), 0, 0) != stretch(tape(), 0, 0)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (255, 256), (300, 520), (599, 599)])
def test_intervals_when_a_stretch_is_asked_for_then_is_cut_from_the_whole(
    first: int, last: int
) -> None:
    """Starting anywhere gives the ticks that a replay from the start would have reached."""
    assert stretch(tape(), first, last) == stretch(tape(), 0, -1)[first : last + 1]


def test_intervals_when_the_stretch_lies_outside_then_there_are_none() -> None:
    """Before the first and after the last bar nothing traded."""
    small = tape(bars=2)
    assert list(small.intervals(0, START_NS)) == []
    assert list(small.intervals(START_NS + 3 * SECOND, START_NS + 9 * SECOND)) == []
    assert len(list(small.intervals(0, START_NS + 9 * SECOND))) == 2


def test_intervals_when_a_tape_has_more_bars_then_begins_alike() -> None:
    """A longer run continues a shorter one."""
    assert stretch(tape(bars=900), 0, 599) == stretch(tape(bars=600), 0, -1)
    assert tape(bars=900).regimes[:600].tolist() == tape(bars=600).regimes.tolist()


def test_intervals_when_more_ticks_are_asked_for_then_closes_stay() -> None:
    """The path inside a bar ends where the bar was planned to close."""
    np.testing.assert_array_equal(
        closing_logs(tape(ticks_per_bar=1)), closing_logs(tape(ticks_per_bar=50))
    )


@pytest.mark.parametrize("timeframe", list(TIMEFRAMES_NS))
def test_intervals_when_ticks_are_looked_at_then_fit_their_bar(timeframe: str) -> None:
    """Times rise inside the half-open bar, prices are whole ticks, sizes round lots."""
    small = tape(bars=3, timeframe=timeframe)
    length = TIMEFRAMES_NS[timeframe]
    for number, (close_ns, ticks) in enumerate(stretch(small, 0, -1)):
        assert close_ns == START_NS + (number + 1) * length
        assert tuple(ticks) == small.symbols
        for symbol, trades in ticks.items():
            times = [trade.ts_event for trade in trades]
            assert sorted(set(times)) == times
            assert close_ns - length <= times[0]
            assert times[-1] < close_ns
            assert [trade.seq for trade in trades] == [number * 4 + n for n in range(4)]
            for trade in trades:
                trade.check()
                assert trade.symbol == symbol
                assert round(trade.price, 2) == trade.price
                assert trade.size in range(LOT, LOT * LARGEST_LOTS + 1, LOT)


def test_intervals_when_symbols_take_turns_then_no_two_times_of_a_bar_are_equal() -> None:
    """There is one order of all trades of a bar, whatever the partitions."""
    (bar,) = stretch(tape(bars=1, symbols=7), 0, 0)
    times = [trade.ts_event for trades in bar.ticks.values() for trade in trades]
    assert len(set(times)) == len(times) == 28


def test_symbols_when_there_are_many_then_names_sort_like_numbers() -> None:
    """Names are padded, so symbol order is the order of the columns."""
    names = tape(symbols=101, bars=1).symbols
    assert (names[0], names[-1], sorted(names)) == ("SYN000", "SYN100", [*names])


def test_regimes_when_counted_then_last_as_long_as_planted(large: SyntheticTape) -> None:
    """Of the bars in a state, the share that stays is its chance to stay, within 4 deviations."""
    before, after = large.regimes[:-1], large.regimes[1:]
    for state, stay in enumerate(STAY):
        here = before == state
        deviation = np.sqrt(stay * (1 - stay) / here.sum())
        assert abs((after[here] == state).mean() - stay) < 4 * deviation


def test_market_factor_when_averaged_over_symbols_then_has_the_planted_law(
    large: SyntheticTape, moves: np.ndarray
) -> None:
    """Noise of 100 symbols averages out; drift and volatility of each state remain."""
    market = moves.mean(axis=1) / large.betas.mean()
    noise = NOISE / np.sqrt(100) / large.betas.mean()
    for state in range(len(STATES)):
        here = market[large.regimes[1:] == state]
        volatility = np.hypot(VOLATILITY[state], noise)
        assert abs(here.mean() - DRIFT[state]) < 4 * volatility / np.sqrt(len(here))
        # The deviation of a normal sample's standard deviation is sigma / sqrt(2 n).
        assert abs(here.std() - volatility) < 4 * volatility / np.sqrt(2 * len(here))


def test_betas_when_regressed_then_are_the_planted_ones(
    large: SyntheticTape, moves: np.ndarray
) -> None:
    """The slope of each symbol on the average of all finds its beta again."""
    market = moves.mean(axis=1) / large.betas.mean()
    slopes = [np.polyfit(market, column, 1)[0] for column in moves.T]
    np.testing.assert_allclose(slopes, large.betas, atol=0.06)


def test_noise_when_the_factor_is_taken_out_then_symbols_are_strangers(
    large: SyntheticTape, moves: np.ndarray
) -> None:
    """What correlates symbols is the factor alone: the rest has none, and the planted size."""
    market = moves.mean(axis=1) / large.betas.mean()
    rest = moves - market[:, None] * large.betas
    apart = np.corrcoef(rest.T)[np.triu_indices(100, 1)]
    assert abs(apart.mean()) < 0.02
    assert np.abs(apart).max() < 0.1
    np.testing.assert_allclose(rest.std(axis=0), NOISE, rtol=0.05)


def test_path_when_bars_have_many_ticks_then_has_the_volatility_of_the_bar() -> None:
    """Squared steps of a path add up to the variance of its state, rounding aside."""
    one = tape(symbols=1, bars=400, ticks_per_bar=64, seed=5)
    prices = [[t.price for t in bar.ticks["SYN0"]] for bar in stretch(one, 0, -1)]
    realised = (np.diff(np.log(prices), axis=1) ** 2).sum(axis=1)
    expected = (one.betas[0] * np.take(VOLATILITY, one.regimes)) ** 2 + NOISE**2
    # 63 of 64 steps are seen here, and 400 bars of 64 steps give about 1 %.
    assert realised.sum() / expected.sum() == pytest.approx(63 / 64, abs=0.05)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"symbols": 0}, "symbols was 0; expected at least 1"),
        ({"bars": 0}, "bars was 0; expected at least 1"),
        ({"ticks_per_bar": -1}, "ticks_per_bar was -1; expected at least 1"),
        ({"seed": -1}, "seed was -1; expected 0 or more"),
        ({"timeframe": "4h"}, "timeframe was '4h'; expected one of 1s, 10s, 1min"),
        ({"start_ns": START_NS + 1}, "expected a multiple of 1000000000, the grid of 1s"),
    ],
)
def test_synthetic_tape_when_an_argument_is_impossible_then_names_it(
    changed: dict[str, object], message: str
) -> None:
    """The error has the argument, its value and what was expected."""
    with pytest.raises(SettingsError, match=message):
        tape(**changed)
