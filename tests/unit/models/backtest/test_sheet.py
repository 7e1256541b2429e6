"""The tear sheet by hand, and beside pandas."""

import math

import numpy as np
import pandas as pd
import pytest

from models.backtest.sheet import (
    Drawdown,
    deepest_drawdowns,
    returns_of,
    sharpe_interval,
    sheet,
)
from tests.unit.models.backtest.series import DAY_NS, START_NS, series

WALK = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0005, 0.01, 400)))


def test_sheet_when_a_year_doubles_then_says_so() -> None:
    """From 100 to 200 in 365.25 days: the return of the range is that of the year."""
    found = sheet(series(np.linspace(100.5, 200.0, 366), step_ns=int(365.25 / 365 * DAY_NS)), 100.0)
    assert found is not None
    assert found.total_return == pytest.approx(1.0)
    assert found.annual_return == pytest.approx(1.0, rel=1e-9)
    assert (found.first_equity, found.last_equity, found.max_drawdown) == (100.0, 200.0, 0.0)
    assert math.isnan(found.calmar)
    assert math.isnan(found.sortino)
    assert found.hit_fraction == 1.0


def test_sheet_when_it_walks_then_agrees_with_pandas() -> None:
    """Volatility, Sharpe, Sortino, drawdown, months, best and worst day."""
    found = sheet(series(WALK), 100.0)
    assert found is not None
    returns = pd.Series(np.append(100.0, WALK)).pct_change().dropna()
    per_year = 399 / (399 / 365.25)
    assert found.returns_per_year == pytest.approx(per_year)
    assert found.annual_volatility == pytest.approx(returns.std() * per_year**0.5)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std() * per_year**0.5)
    downside = (returns.clip(upper=0.0) ** 2).mean() ** 0.5
    assert found.sortino == pytest.approx(returns.mean() / downside * per_year**0.5)
    assert (found.best_return, found.worst_return) == pytest.approx((returns.max(), returns.min()))
    wealth = pd.Series(np.append(100.0, WALK))
    assert found.max_drawdown == pytest.approx((wealth / wealth.cummax() - 1.0).min())
    days = pd.DatetimeIndex(series(WALK).close_ns - 1)
    months = (1.0 + pd.Series(returns.to_numpy(), days)).groupby(days.to_period("M")).prod() - 1.0
    assert [value for _, _, value in found.monthly] == pytest.approx(months.tolist())
    named = [(period.year, period.month) for period in months.index]
    assert [(year, month) for year, month, _ in found.monthly] == named
    assert found.sharpe_low < found.sharpe < found.sharpe_high


def test_sheet_when_it_trades_then_counts_costs_and_turnover() -> None:
    """Two fills of 50 on a mean equity of 100 in a year turn it over once; costs are 3 of 100."""
    n_bars = 366
    marks = np.zeros(n_bars)
    marks[[5, 9]] = 50.0
    fees, slippage = np.zeros(n_bars), np.zeros(n_bars)
    fees[5], slippage[9] = 1.0, 2.0
    gross = np.full(n_bars, 40.0)
    gross[0] = 0.0
    found = sheet(
        series(
            np.full(n_bars, 100.0),
            int(365.25 / 365 * DAY_NS),
            traded=marks,
            fees=fees,
            slippage=slippage,
            gross=gross,
            net=-gross,
            bull=fees * 4.0,
            approved=marks > 0.0,
            refused=np.ones(n_bars),
            max_leverage=np.linspace(0.0, 1.0, n_bars),
        ),
        100.0,
    )
    assert found is not None
    assert found.annual_turnover == pytest.approx(1.0)
    assert (found.fees, found.slippage, found.cost_fraction) == (1.0, 2.0, pytest.approx(0.03))
    assert found.mean_gross == pytest.approx(0.4 * 365 / 366)
    assert found.mean_net == -found.mean_gross
    assert found.invested_fraction == pytest.approx(365 / 366)
    assert (found.n_approved, found.n_refused) == (2, 366)
    assert found.utilisation["max_leverage"] == (pytest.approx(0.5), 1.0)
    assert found.regimes == {"bull": 4.0, "bear": 0.0, "sideways": 0.0, "fills_and_fees": -4.0}
    assert math.isnan(found.sharpe)
    assert math.isnan(found.hit_fraction)


def test_sheet_when_there_is_little_then_leaves_out_what_it_cannot_say() -> None:
    """No bars, no sheet; five bars of a second have a return, and nothing of a year."""
    assert sheet(series([]), 100.0) is None
    found = sheet(series([101.0, 99.0, 100.0, 98.0, 102.0], step_ns=10**9), 100.0)
    assert found is not None
    assert found.total_return == pytest.approx(0.02)
    assert all(
        math.isnan(value)
        for value in (found.annual_return, found.annual_volatility, found.sharpe, found.sharpe_low)
    )
    alone = sheet(series([101.0]), 100.0)
    assert alone is not None
    assert math.isnan(alone.returns_per_year)


def test_sheet_when_all_is_lost_then_has_no_return_of_a_year() -> None:
    """What fell below nothing does not compound."""
    found = sheet(series([*np.linspace(90.0, 1.0, 40), -5.0]), 100.0)
    assert found is not None
    assert found.total_return == pytest.approx(-1.05)
    assert math.isnan(found.annual_return)


def test_returns_when_bars_are_hours_then_are_taken_by_day() -> None:
    """A day ends with its last bar, and a bar that closes at midnight is the day before's."""
    hours = series(np.arange(100.0, 100.0 + 24 * 40), step_ns=DAY_NS // 24)
    by, ends, returns = returns_of(hours, 99.0)
    assert by == "day"
    assert ends.tolist() == [START_NS + DAY_NS * n for n in range(1, 41)]
    assert returns[0] == pytest.approx(123.0 / 99.0 - 1.0)
    assert returns[1] == pytest.approx(147.0 / 123.0 - 1.0)
    assert returns_of(hours.since(24 * 11), 99.0)[0] == "bar"


def test_drawdowns_when_there_are_three_then_the_deepest_comes_first() -> None:
    """Depth, peak, trough, and where the peak was reached again; the last one lasts."""
    falls = series([110.0, 99.0, 104.5, 110.0, 120.0, 90.0, 121.0, 120.0])
    day = [START_NS + DAY_NS * n for n in range(1, 9)]
    found = deepest_drawdowns(falls, 100.0)
    assert found == (
        Drawdown(pytest.approx(-0.25), day[4], day[5], day[6]),
        Drawdown(pytest.approx(-0.1), day[0], day[1], day[3]),
        Drawdown(pytest.approx(120.0 / 121.0 - 1.0), day[6], day[7], -1),
    )


def test_interval_when_returns_are_independent_then_is_about_the_normal_one() -> None:
    """Lo (2002): for independent returns the ratio per return has the error sqrt((1 + s^2/2)/n)."""
    returns = np.random.default_rng(5).normal(0.0005, 0.01, 2_000)
    low, high = sharpe_interval(returns, 252.0)
    ratio = returns.mean() / returns.std()
    width = 2.0 * 1.96 * math.sqrt((1.0 + ratio**2 / 2.0) / 2_000) * math.sqrt(252.0)
    assert high - low == pytest.approx(width, rel=0.15)
    assert sharpe_interval(returns, 252.0) == (low, high)
    assert all(math.isnan(end) for end in sharpe_interval(np.zeros(50), 252.0))
