"""The tear sheet of a portfolio: what it made, at what risk and cost, and how sure that is.

Returns are by UTC day where a series has at least ``LEAST_DAYS`` of them, else by bar. A year has
as many of them as the series itself has on average, so that neither sessions nor weekends are
assumed; the interval of the Sharpe ratio is the percentile interval of the circular block bootstrap
(Politis and Romano 1992), which keeps neighbouring returns together.
"""

from typing import NamedTuple

import numpy as np

from models.arrays import Floats, Indices
from models.backtest.points import UTILISED, Series
from models.measures import block_counts, interval, max_drawdown, resampled_sharpe, sharpe

LEAST_DAYS = 30
LEAST_RETURNS = 10
BLOCK_RETURNS = 21
N_DRAWS = 1_000
SEED = 7

_DRAWS_AT_ONCE = 100
_DAY_NS = 86_400_000_000_000
_YEAR_NS = 365.25 * _DAY_NS
_DEEPEST = 5
_MONTHS = 12


class Drawdown(NamedTuple):
    """A fall from a peak: its depth as a negative fraction, and when; ``end_ns`` -1 if it lasts."""

    depth: float
    peak_ns: int
    trough_ns: int
    end_ns: int


class Sheet(NamedTuple):
    """A tear sheet; fractions are of one, money is in the portfolio's currency.

    Attributes
    ----------
    n_bars, n_returns, returns_by, returns_per_year
        What the rest is made of: returns are by ``day`` or by ``bar``.
    first_ns, last_ns
        First and last close that counts.
    total_return, annual_return, annual_volatility
        Compounded; the annual ones are NaN for less than ``LEAST_RETURNS`` returns, the return of a
        year for less than ``LEAST_DAYS`` days, too.
    sharpe, sharpe_low, sharpe_high
        Without a risk-free rate, and its 95 % interval; NaN where it has none.
    sortino, calmar
        Mean over downside deviation (Sortino 1994), annual return over the deepest drawdown.
    max_drawdown, drawdowns
        Bar by bar; the five deepest, the deepest first.
    hit_fraction
        Returns above zero among those that are not zero.
    annual_turnover
        Notional of all fills over mean equity, per year.
    fees, slippage, cost_fraction
        What trading cost, and its share of the first equity.
    mean_gross, mean_net, invested_fraction
        Of equity; and the share of bars with a position.
    utilisation
        Mean and largest share of each limit that was used.
    regimes
        What positions earned by regime, and what is left: fills, fees and what venues said.
    monthly
        (year, month, return), in order of time.
    """

    n_bars: int
    n_returns: int
    returns_by: str
    returns_per_year: float
    first_ns: int
    last_ns: int
    first_equity: float
    last_equity: float
    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    sortino: float
    calmar: float
    max_drawdown: float
    drawdowns: tuple[Drawdown, ...]
    hit_fraction: float
    best_return: float
    worst_return: float
    annual_turnover: float
    fees: float
    slippage: float
    cost_fraction: float
    mean_gross: float
    mean_net: float
    invested_fraction: float
    n_approved: int
    n_refused: int
    utilisation: dict[str, tuple[float, float]]
    regimes: dict[str, float]
    monthly: tuple[tuple[int, int, float], ...]


def sheet(series: Series, first_equity: float) -> Sheet | None:
    """Return the tear sheet of a series; None for one without bars.

    Parameters
    ----------
    series : Series
    first_equity : float
        What there was before its first bar; positive.
    """
    if not len(series.close_ns):
        return None
    first_ns, last_ns = int(series.close_ns[0]), int(series.close_ns[-1])
    by, ends, returns = returns_of(series, first_equity)
    years = max(last_ns - first_ns, 1) / _YEAR_NS
    per_year = (len(returns) - 1) / years if len(returns) > 1 else np.nan
    total = float(series.equity[-1]) / first_equity - 1.0
    enough = len(returns) >= LEAST_RETURNS and total > -1.0
    is_long = enough and last_ns - first_ns >= LEAST_DAYS * _DAY_NS
    annual = float(np.expm1(np.log1p(total) / years)) if is_long else np.nan
    low, high = sharpe_interval(returns, per_year)
    deepest = deepest_drawdowns(series, first_equity)
    changes = np.diff(series.equity, prepend=first_equity) / np.append(
        first_equity, series.equity[:-1]
    )
    worst = max_drawdown(changes)
    moved = returns[returns != 0.0]
    earned = {name: float(getattr(series, name).sum()) for name in ("bull", "bear", "sideways")}
    gained = float(series.equity[-1]) - first_equity
    costs = float(series.fees.sum() + series.slippage.sum())
    return Sheet(
        n_bars=len(series.close_ns),
        n_returns=len(returns),
        returns_by=by,
        returns_per_year=float(per_year),
        first_ns=first_ns,
        last_ns=last_ns,
        first_equity=first_equity,
        last_equity=float(series.equity[-1]),
        total_return=total,
        annual_return=annual,
        annual_volatility=float(returns.std(ddof=1) * np.sqrt(per_year)) if enough else np.nan,
        sharpe=sharpe(returns, bars_per_year=per_year) if enough else np.nan,
        sharpe_low=low,
        sharpe_high=high,
        sortino=_sortino(returns, per_year) if enough else np.nan,
        calmar=annual / -worst if worst < 0.0 else np.nan,
        max_drawdown=worst,
        drawdowns=deepest,
        hit_fraction=float((moved > 0.0).mean()) if len(moved) else np.nan,
        best_return=float(returns.max()),
        worst_return=float(returns.min()),
        annual_turnover=float(series.traded.sum() / series.equity.mean() / years),
        fees=float(series.fees.sum()),
        slippage=float(series.slippage.sum()),
        cost_fraction=costs / first_equity,
        mean_gross=float((series.gross / series.equity).mean()),
        mean_net=float((series.net / series.equity).mean()),
        invested_fraction=float((series.gross > 0.0).mean()),
        n_approved=int(series.approved.sum()),
        n_refused=int(series.refused.sum()),
        utilisation={
            name: (float(getattr(series, name).mean()), float(getattr(series, name).max()))
            for name in UTILISED
        },
        regimes=earned | {"fills_and_fees": gained - sum(earned.values())},
        monthly=_monthly(ends, returns),
    )


def returns_of(series: Series, first_equity: float) -> tuple[str, Indices, Floats]:
    """Return by what returns are taken, the close at which each ends, and the returns.

    A UTC day ends with its last bar; a bar that closes at midnight belongs to the day before.
    """
    days = (series.close_ns - 1) // _DAY_NS
    ends = np.flatnonzero(np.append(np.diff(days) > 0, [True]))
    by = "day"
    if len(ends) < LEAST_DAYS:
        by, ends = "bar", np.arange(len(days))
    worth = np.append(first_equity, series.equity[ends])
    returns: Floats = worth[1:] / worth[:-1] - 1.0
    return by, series.close_ns[ends], returns


def sharpe_interval(returns: Floats, per_year: float) -> tuple[float, float]:
    """Return the 95 % interval of the Sharpe ratio; NaN where returns are too few or do not vary.

    Draws come in groups, so that a long series takes no more memory than a hundred draws of it.
    """
    if len(returns) < max(BLOCK_RETURNS, LEAST_RETURNS) or not returns.std() > 0.0:
        return np.nan, np.nan
    draws = [
        resampled_sharpe(
            block_counts(
                len(returns), block_bars=BLOCK_RETURNS, n_draws=_DRAWS_AT_ONCE, seed=SEED + group
            ),
            returns[:, None],
            per_year,
        )[:, 0]
        for group in range(N_DRAWS // _DRAWS_AT_ONCE)
    ]
    drawn = np.concatenate(draws)
    return interval(drawn[np.isfinite(drawn)])


def drawdown(equity: Floats, first_equity: float) -> Floats:
    """Return how far equity lies below its highest so far, as fractions at most 0.

    Examples
    --------
    >>> drawdown(np.array([2.0, 1.0, 3.0]), 1.0).tolist()
    [0.0, -0.5, 0.0]
    """
    fallen: Floats = equity / np.maximum(np.maximum.accumulate(equity), first_equity) - 1.0
    return fallen


def deepest_drawdowns(series: Series, first_equity: float) -> tuple[Drawdown, ...]:
    """Return the five deepest falls, each from its peak to where the peak was reached again."""
    under = drawdown(series.equity, first_equity)
    below = under < 0.0
    edges = np.diff(np.concatenate([[0], below.astype(np.int8), [0]]))
    found = []
    starts, stops = np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()
    for start, end in zip(starts, stops, strict=True):
        trough = start + int(np.argmin(under[start:end]))
        ended = int(series.close_ns[end]) if end < len(below) else -1
        found.append(
            Drawdown(
                float(under[trough]),
                int(series.close_ns[max(start - 1, 0)]),
                int(series.close_ns[trough]),
                ended,
            )
        )
    return tuple(sorted(found)[:_DEEPEST])


def _sortino(returns: Floats, per_year: float) -> float:
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))
    return float(returns.mean() / downside * np.sqrt(per_year)) if downside > 0.0 else np.nan


def _monthly(ends_ns: Indices, returns: Floats) -> tuple[tuple[int, int, float], ...]:
    months = (ends_ns - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    found = []
    for month in np.unique(months).tolist():
        growth = float(np.prod(1.0 + returns[months == month]) - 1.0)
        found.append((1970 + month // _MONTHS, month % _MONTHS + 1, growth))
    return tuple(found)
