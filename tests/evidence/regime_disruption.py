"""``regime-disruption``: how much of a book a change of regime moves, and what that does to it.

Every arm is fitted on the past only and holds 1, 1/2 or 0 of each asset in bull, sideways and bear.
The hard label is the argmax of the mixture's posterior; its flips are the events for every arm.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from models import measures
from tests.evidence import regime_walk
from tests.evidence.measurement import Measurement, Result
from tests.evidence.regime_data import Floats, Market, markets
from tests.evidence.regime_walk import BARS_PER_YEAR, Walk

# Seed 0 was used in development; the other two were first run for the report.
SEEDS = (0, 101, 102)
HARD, SERVED = "DPGMM argmax (hard)", "DPGMM posterior, smoothed"
CONSTANT = "constant blend"
PER_SWITCH, P99, RATIO = 0.05, 0.10, 1.0 / 3.0
BLOCK_BARS, N_DRAWS = 60, 1_000


@cache
def walks() -> dict[int, list[Walk]]:
    """Walk every market with every seed, once."""
    return {seed: [regime_walk.walk(market, seed) for market in markets()] for seed in SEEDS}


def table(of: dict[int, list[Walk]]) -> dict[str, dict[str, Any]]:
    """Give every arm's figures: disruption over all assets and seeds, Sharpe with intervals."""
    some = next(iter(of.values()))
    days = np.unique(np.concatenate([walked.market.days[walked.start :] for walked in some]))
    counts = measures.block_counts(len(days), block_bars=BLOCK_BARS, n_draws=N_DRAWS, seed=7)
    ratios = {arm: _sharpes(of, arm, days, counts) for arm in some[0].arms}
    rows = {}
    for arm in some[0].arms:
        moved = [regime_walk.moves_of(walked, arm) for each in of.values() for walked in each]
        joined = (np.concatenate(column) for column in zip(*moved, strict=True))
        summary = measures.disruption(*joined, bars_per_year=BARS_PER_YEAR)
        rows[arm] = {
            **summary._asdict(),
            "sharpe": ratios[arm][0],
            "sharpe_interval": measures.interval(ratios[arm][1]),
            "max_drawdown": _drawdown(of, arm),
            "vs_hard": ratios[arm][0] - ratios[HARD][0],
            "vs_hard_interval": measures.interval(ratios[arm][1] - ratios[HARD][1]),
            "vs_served": ratios[arm][0] - ratios[SERVED][0],
            "vs_served_interval": measures.interval(ratios[arm][1] - ratios[SERVED][1]),
            "vs_constant": ratios[arm][0] - ratios[CONSTANT][0],
            "vs_constant_interval": measures.interval(ratios[arm][1] - ratios[CONSTANT][1]),
        }
    return rows


def _sharpes(
    of: dict[int, list[Walk]], arm: str, days: np.ndarray, counts: Floats
) -> tuple[float, Floats]:
    """Give the mean Sharpe ratio over assets and seeds, and its bootstrap draws."""
    points, draws = [], []
    for each in of.values():
        returns = np.concatenate([_on(days, walked, arm) for walked in each], axis=1)
        once = measures.resampled_sharpe(np.ones((1, len(days))), returns, BARS_PER_YEAR)
        points.append(float(once.mean()))
        draws.append(measures.resampled_sharpe(counts, returns, BARS_PER_YEAR).mean(axis=1))
    return float(np.mean(points)), np.mean(draws, axis=0)


def _on(days: np.ndarray, walked: Walk, arm: str) -> Floats:
    """Put a market's returns on the grid of all days, NaN where it has none."""
    returns = np.full((len(days), len(walked.market.symbols)), np.nan)
    at = np.searchsorted(days, walked.market.days[walked.start :])
    returns[at] = regime_walk.returns_of(walked, arm)[walked.start :]
    return returns


def _drawdown(of: dict[int, list[Walk]], arm: str) -> float:
    falls = [
        measures.max_drawdown(column)
        for each in of.values()
        for walked in each
        for column in regime_walk.returns_of(walked, arm).T
    ]
    return float(np.mean(falls))


def by_market(of: dict[int, list[Walk]]) -> dict[str, dict[str, float]]:
    """Give the served arm's disruption per market and seed, and hard routing's beside it."""
    rows = {}
    for seed, each in of.items():
        for walked in each:
            served, hard = (_disruption(walked, arm) for arm in (SERVED, HARD))
            rows[f"{walked.market.name}, seed {seed}"] = {
                "at_hard_flips": served.at_hard_flips,
                "at_own_flips": served.at_own_flips,
                "p99": served.p99,
                "ratio": served.at_hard_flips / hard.at_hard_flips,
                "n": served.n_hard_flips,
            }
    return rows


def _disruption(walked: Walk, arm: str) -> measures.Disruption:
    return measures.disruption(*regime_walk.moves_of(walked, arm), bars_per_year=BARS_PER_YEAR)


def markets_of(of: dict[int, list[Walk]]) -> list[Market]:
    """List the markets walked."""
    return [walked.market for walked in next(iter(of.values()))]


def measure() -> Result:
    """Walk forward and hold the served arm against its bars, in every market with every seed."""
    of = walks()
    rows, parts = table(of), by_market(of)
    served, hard = rows[SERVED], rows[HARD]
    ratio = served["at_hard_flips"] / hard["at_hard_flips"]
    worst = {
        name: max(row[name] for row in parts.values())
        for name in ("at_hard_flips", "at_own_flips", "p99", "ratio")
    }
    return Result(
        value=round(100.0 * served["at_hard_flips"], 2),
        holds=max(worst["at_hard_flips"], worst["at_own_flips"]) <= PER_SWITCH
        and worst["p99"] <= P99
        and worst["ratio"] <= RATIO
        and served["vs_hard_interval"][0] >= 0.0,
        n=served["n_hard_flips"],
        peer="hard routing",
        ratio=round(ratio, 4),
        parts={
            "worst_of_markets_and_seeds": _rounded(worst),
            "arms": {arm: _rounded(row) for arm, row in rows.items()},
            "served_by_market": {name: _rounded(row) for name, row in parts.items()},
            "refits_refused": sum(w.n_refused for each in of.values() for w in each),
            "refits": sum(w.n_fits for each in of.values() for w in each),
        },
    )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Round for people; JSON has no NaN, so what is unknown is None."""
    return {
        name: tuple(round(v, 4) for v in value)
        if isinstance(value, tuple)
        else None
        if math.isnan(value)
        else round(value, 4)
        for name, value in row.items()
    }


REGIME_DISRUPTION = Measurement(
    "regime-disruption",
    "% of the book per switch of the hard label",
    "<= 5 % at hard and at own flips, P99 of a bar <= 10 %, <= 1/3 of hard routing, "
    "Sharpe not below hard routing's (95 % interval)",
    5,
    measure,
)
