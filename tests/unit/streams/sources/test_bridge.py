"""The price bridge: real closes at its ends, seeded and labelled paths between them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from streams.sources.bridge import BridgeTape
from streams.sources.tape import Interval

SECOND = 10**9
DAY = 86_400 * SECOND
# 14:30 to 21:00 UTC, a New York session in winter.
SESSION = (52_200 * SECOND, 75_600 * SECOND)

# First and last close of a stretch in the middle: the ten trading days after 2008-09-12.
TEN_DAYS = (
    pd.Timestamp("2008-09-16", tz="UTC").value,
    pd.Timestamp("2008-09-27", tz="UTC").value,
)


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    """Return the real closes as their package gives them, one column per symbol."""
    from skfolio.datasets import load_sp500_dataset  # noqa: PLC0415  only these tests pay for it

    return load_sp500_dataset()


@pytest.fixture(scope="module")
def tape() -> BridgeTape:
    """Return the demo's tape with few ticks a day."""
    return BridgeTape(seed=7, ticks_per_day=5)


@pytest.fixture(scope="module")
def days(tape: BridgeTape) -> list[Interval]:
    """Return the ten days."""
    return list(tape.intervals(*TEN_DAYS))


def test_name_when_shown_then_says_that_the_day_is_simulated(tape: BridgeTape) -> None:
    """Nobody takes the path between two real closes for trades."""
    assert "real daily closes" in tape.name
    assert "simulated intraday" in tape.name


def test_symbols_when_listed_then_are_the_packages_in_symbol_order(
    tape: BridgeTape, prices: pd.DataFrame
) -> None:
    """Twenty stocks, sorted."""
    assert list(tape.symbols) == sorted(prices.columns)
    assert len(tape.symbols) == 20


def test_closes_ns_when_listed_then_are_the_midnights_after_the_sessions(
    tape: BridgeTape, prices: pd.DataFrame
) -> None:
    """A day is over when its date is."""
    expected = (prices.index.tz_localize("UTC") + pd.Timedelta(days=1)).as_unit("ns")
    assert tape.closes_ns() == expected.astype("int64").tolist()


def test_intervals_when_a_day_ends_then_its_last_tick_is_the_real_close(
    days: list[Interval], prices: pd.DataFrame
) -> None:
    """Exactly, not nearly: returns from close to close are those of the real market."""
    dates = prices.loc["2008-09-15":"2008-09-26"].index
    assert len(days) == len(dates) == 10
    for day, date in zip(days, dates, strict=True):
        for symbol, ticks in day.ticks.items():
            assert ticks[-1].price == prices.at[date, symbol]


def test_intervals_when_all_days_are_taken_then_every_close_is_real(
    tape: BridgeTape, prices: pd.DataFrame
) -> None:
    """The whole 33 years, column by column."""
    np.testing.assert_array_equal(tape.paths[:, :, -1], prices[list(tape.symbols)].to_numpy())


def test_intervals_when_ticks_are_looked_at_then_rise_inside_the_session(
    days: list[Interval],
) -> None:
    """Five ticks of each symbol between the open and the close of their own day."""
    for day in days:
        opened_ns = day.close_ns - DAY
        assert len(day.ticks) == 20
        for symbol, ticks in day.ticks.items():
            times = [tick.ts_event for tick in ticks]
            assert len(times) == 5
            assert sorted(set(times)) == times
            assert opened_ns + SESSION[0] <= times[0]
            assert times[-1] < opened_ns + SESSION[1]
            for tick in ticks:
                tick.check()
                assert (tick.symbol, tick.size) == (symbol, None)


def test_intervals_when_numbered_then_no_two_ticks_of_a_symbol_share_a_number(
    days: list[Interval],
) -> None:
    """The number is the tick's identity, so a repeated one would be a duplicate."""
    numbers = [tick.seq for day in days for tick in day.ticks["AAPL"]]
    assert all(before < after for before, after in pairwise(numbers))


def test_intervals_when_the_seed_is_equal_then_any_stretch_has_the_same_ticks(
    days: list[Interval],
) -> None:
    """A day's path does not depend on what else is replayed."""
    again = BridgeTape(seed=7, ticks_per_day=5)
    close = days[6].close_ns
    assert list(again.intervals(close, close)) == [days[6]]


def test_intervals_when_the_seed_differs_then_so_do_the_paths_but_not_the_closes(
    days: list[Interval],
) -> None:
    """Only what is simulated is drawn."""
    other = list(BridgeTape(seed=8, ticks_per_day=5).intervals(*TEN_DAYS))
    mine, theirs = days[0].ticks["AAPL"], other[0].ticks["AAPL"]
    assert [tick.price for tick in mine[:-1]] != [tick.price for tick in theirs[:-1]]
    assert mine[-1] == theirs[-1]


def test_intervals_when_a_day_has_one_tick_then_it_is_the_close(prices: pd.DataFrame) -> None:
    """The shortest path has no room for a bridge."""
    (day,) = BridgeTape(ticks_per_day=1).intervals(TEN_DAYS[0], TEN_DAYS[0])
    assert [tick.price for tick in day.ticks["KO"]] == [prices.at["2008-09-15", "KO"]]


def test_intervals_when_the_stretch_has_no_session_then_there_are_none(tape: BridgeTape) -> None:
    """A weekend has no bars."""
    saturday = pd.Timestamp("2008-09-20", tz="UTC").value
    assert list(tape.intervals(saturday + 1, saturday + 2 * DAY)) == []


def test_paths_when_compared_with_past_volatility_then_are_as_wide_as_promised(
    prices: pd.DataFrame,
) -> None:
    """Squared bridge steps add up to 60 % of the variance of the 21 days before."""
    n = 390
    tape = BridgeTape(seed=3, ticks_per_day=n)
    day, at = prices.index.get_loc("2008-09-15"), tape.symbols.index("KO")
    returns = np.log(prices["KO"]).diff().to_numpy()
    realised, promised = 0.0, 0.0
    for number in range(day, day + 20):
        steps = np.diff(np.log(tape.paths[number, at]))
        realised += float(((steps - steps.mean()) ** 2).sum())
        promised += 0.6 * float(np.var(returns[number - 21 : number]))
    # 20 days of 390 steps: the relative error is about sqrt(2 / 7800), 1.6 %.
    assert realised / promised == pytest.approx(1.0, abs=0.07)
