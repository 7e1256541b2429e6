"""``var-backtest``: the one-day VaR against what was lost, on real daily closes, 2008 and 2020.

Every day the VaR at 95 % of an equally weighted book is computed by the functions that the control
uses, from the 250 days before, and compared with the day's result. Kupiec (1995) asks whether as
many days exceed it as should; Christoffersen (1998) asks whether they come independently of each
other, and whether both hold together. A p-value below 0.05 rejects. The control takes the larger of
both measures, which is meant to be exceeded more rarely than 5 %.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from models.arrays import Floats
from models.risk.var import historical_var, normal_var
from streams.sources.bridge import BridgeTape
from tests.evidence.measurement import Measurement, Result

WINDOW_DAYS = 250
TAIL = 0.05
REJECTED_BELOW = 0.05
PERIODS = (("2008", 2008, 2008), ("2020", 2020, 2020), ("1991-2022", 1991, 2022))


class Backtest(NamedTuple):
    """How often a VaR was exceeded, and the p-values of three likelihood ratio tests."""

    n_days: int
    n_exceeded: int
    kupiec: float
    independence: float
    conditional: float


def log_likelihood(n_zeros: int, n_ones: int, share: float) -> float:
    """Return the log likelihood of zeros and ones under a share of ones; 0 log 0 is 0."""
    zeros = n_zeros * math.log(1.0 - share) if n_zeros else 0.0
    return zeros + (n_ones * math.log(share) if n_ones else 0.0)


def backtest(exceeded: np.ndarray, tail: float = TAIL) -> Backtest:
    """Test a series of exceedances (True where the loss was above the VaR)."""
    hits = exceeded.astype(int)
    n_ones = int(hits.sum())
    n_zeros = len(hits) - n_ones
    share = n_ones / len(hits)
    coverage = -2.0 * (
        log_likelihood(n_zeros, n_ones, tail) - log_likelihood(n_zeros, n_ones, share)
    )
    before, after = hits[:-1], hits[1:]
    n = [[int(((before == i) & (after == j)).sum()) for j in (0, 1)] for i in (0, 1)]
    shares = [row[1] / max(sum(row), 1) for row in n]
    pooled = (n[0][1] + n[1][1]) / max(len(after), 1)
    apart = sum(log_likelihood(row[0], row[1], p) for row, p in zip(n, shares, strict=True))
    together = log_likelihood(n[0][0] + n[1][0], n[0][1] + n[1][1], pooled)
    independence = max(-2.0 * (together - apart), 0.0)
    return Backtest(
        len(hits),
        n_ones,
        float(chi2.sf(max(coverage, 0.0), 1)),
        float(chi2.sf(independence, 1)),
        float(chi2.sf(max(coverage, 0.0) + independence, 2)),
    )


def daily() -> tuple[Floats, np.ndarray]:
    """Return the returns of an equally weighted book of the demo's stocks, and their years."""
    tape = BridgeTape()
    closes = tape.paths[:, :, -1]
    years = np.array(tape.closes_ns(), dtype="datetime64[ns]").astype("datetime64[Y]").astype(int)
    return np.diff(np.log(closes), axis=0).mean(axis=1), years[1:] + 1970


def exceedances(returns: Floats) -> dict[str, np.ndarray]:
    """Return, by measure, on which days after the first window the loss was above the VaR."""
    found: dict[str, list[bool]] = {"historical": [], "normal": [], "larger": []}
    for day in range(WINDOW_DAYS, len(returns)):
        window = np.ascontiguousarray(returns[day - WINDOW_DAYS : day])
        historical = historical_var(window, WINDOW_DAYS)
        normal = normal_var(window, WINDOW_DAYS)
        loss = -float(returns[day])
        found["historical"].append(loss > historical)
        found["normal"].append(loss > normal)
        found["larger"].append(loss > max(historical, normal))
    return {name: np.array(hits) for name, hits in found.items()}


def measure() -> Result:
    """Test each measure over each period."""
    returns, years = daily()
    hits, years = exceedances(returns), years[WINDOW_DAYS:]
    parts: dict[str, Any] = {}
    for name, first, last in PERIODS:
        chosen = (years >= first) & (years <= last)
        for measure_name, exceeded in hits.items():
            found = backtest(exceeded[chosen])
            parts[f"{name} {measure_name}"] = {
                "days": found.n_days,
                "exceeded": found.n_exceeded,
                "exceeded_percent": round(100 * found.n_exceeded / found.n_days, 2),
                "kupiec_p": round(found.kupiec, 4),
                "independence_p": round(found.independence, 4),
                "conditional_p": round(found.conditional, 4),
            }
    control = {name: parts[f"{name} larger"] for name, _, _ in PERIODS}
    holds = all(
        one["exceeded"] <= one["days"] * TAIL or one["kupiec_p"] >= REJECTED_BELOW
        for one in control.values()
    )
    value = control["1991-2022"]["exceeded_percent"]
    return Result(value, holds, control["1991-2022"]["days"], parts)


VAR_BACKTEST = Measurement(
    "var-backtest",
    "% of days that lost more than the control's VaR at 95 %, 1991 to 2022",
    "not more than 5 % in 2008, 2020 and over all, or not rejected by Kupiec at 5 %",
    1,
    measure,
)
