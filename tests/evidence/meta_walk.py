"""``meta-disruption``, ``meta-vs-routing``, ``meta-vs-hedge``: all arms on one replay of real bars.

Everything is fitted on bars before 2008 and followed from 2008 to 2022. The seeds were first run
with the settings final (the last three were added to see the spread); development used 0 and 1.
"""

import math
from functools import cache
from typing import Any

import numpy as np

from models import measures
from models.weights.policy_gradient import DEFAULTS
from tests.evidence import meta_arms
from tests.evidence.measurement import Measurement, Result
from tests.evidence.meta_arms import (
    BARS_PER_YEAR,
    COST,
    EARNING,
    EQUAL,
    HARD,
    LEARNED,
    TRUSTING,
    Floats,
    Walk,
)
from tests.evidence.meta_data import OWN, SIMPLE, own_walk, simple_walk

SEEDS = (301, 302, 303, 304, 305, 306, 307, 308)
OWN_SEEDS = (301, 302)
PER_SWITCH, P99, RATIO, MARGIN = 0.05, 0.10, 1.0 / 3.0, -0.10
TRAINING_S = 60.0
BLOCK_BARS, N_DRAWS = 60, 1_000
_EPISODES = DEFAULTS.updates * DEFAULTS.episodes
COSTS = (0.0, 0.0005, 0.001, 0.002)
PEERS = {"vs_hard": HARD, "vs_equal": EQUAL, "vs_hedge": TRUSTING, "vs_earning": EARNING}


@cache
def walks() -> dict[str, list[Walk]]:
    """Walk with every seed and both sets of specialists, once."""
    return {
        SIMPLE: [simple_walk(seed) for seed in SEEDS],
        OWN: [own_walk(seed) for seed in OWN_SEEDS],
    }


@cache
def table(of: str) -> dict[str, dict[str, Any]]:
    """Give every arm's figures: disruption over assets and seeds, Sharpe with intervals."""
    walked = walks()[of]
    counts = _counts(walked[0])
    ratios = {arm: _ratios(walked, arm, counts) for arm in walked[0].arms}
    books = {arm: _ratios(walked, arm, counts, as_one=True) for arm in walked[0].arms}
    rows = {}
    for arm in walked[0].arms:
        joined = zip(*(meta_arms.moves(each, arm) for each in walked), strict=True)
        summary = measures.disruption(
            *(np.concatenate(column) for column in joined), bars_per_year=BARS_PER_YEAR
        )
        rows[arm] = {
            **summary._asdict(),
            "mixture_at_hard_flips": float(
                np.mean([meta_arms.mixture_moved(each, arm) for each in walked])
            ),
            "sharpe": ratios[arm][0],
            "sharpe_of_one_book": books[arm][0],
        }
        for name, peer in PEERS.items():
            rows[arm] |= _difference(name, ratios[arm], ratios[peer])
        rows[arm] |= _difference("one_book_vs_hard", books[arm], books[HARD])
        rows[arm] |= _difference("one_book_vs_hedge", books[arm], books[TRUSTING])
        rows[arm] |= _difference("one_book_vs_equal", books[arm], books[EQUAL])
    return rows


def _counts(walked: Walk) -> Floats:
    n_bars = walked.test.stop - walked.test.start
    return measures.block_counts(n_bars, block_bars=BLOCK_BARS, n_draws=N_DRAWS, seed=7)


def _ratios(
    walked: list[Walk], arm: str, counts: Floats, *, as_one: bool = False, cost: float = COST
) -> tuple[float, Floats]:
    """Give the Sharpe ratio, mean over assets (or of one book of all) and seeds, and its draws."""
    points, draws = [], []
    for each in walked:
        returns = meta_arms.net(each.past, each.arms[arm], cost)[each.test]
        if as_one:
            returns = np.nanmean(returns, axis=1, keepdims=True)
        points.append(float(meta_arms.sharpes(returns).mean()))
        draws.append(meta_arms.sharpes(returns, counts).mean(axis=1))
    return float(np.mean(points)), np.mean(draws, axis=0)


def _difference(
    name: str, first: tuple[float, Floats], second: tuple[float, Floats]
) -> dict[str, Any]:
    return {
        name: first[0] - second[0],
        f"{name}_interval": measures.interval(first[1] - second[1]),
    }


def by_seed(of: str) -> dict[str, dict[str, Any]]:
    """Give each seed's options: disruption, differences, use, and which policy would serve."""
    rows = {}
    for each in walks()[of]:
        found, hard = (
            measures.disruption(*meta_arms.moves(each, arm), bars_per_year=BARS_PER_YEAR)
            for arm in (LEARNED, HARD)
        )
        ratio = {
            arm: float(
                meta_arms.sharpes(meta_arms.net(each.past, each.arms[arm])[each.test]).mean()
            )
            for arm in (LEARNED, HARD, EQUAL, TRUSTING)
        }
        rows[str(each.seed)] = {
            "at_hard_flips": found.at_hard_flips,
            "at_own_flips": found.at_own_flips,
            "p99": found.p99,
            "of_hard": found.at_hard_flips / hard.at_hard_flips,
            "sharpe": ratio[LEARNED],
            "vs_hard": ratio[LEARNED] - ratio[HARD],
            "vs_equal": ratio[LEARNED] - ratio[EQUAL],
            "vs_hedge": ratio[LEARNED] - ratio[TRUSTING],
            "serves": each.report["policy"],
            "validation": each.report["validation"],
            "training": each.report["training"],
            **each.use,
        }
    return rows


def by_cost() -> dict[str, dict[str, float]]:
    """Give the Sharpe ratio of some arms at other costs."""
    walked = walks()[SIMPLE]
    counts = _counts(walked[0])[:1]
    arms = (LEARNED, HARD, EQUAL, TRUSTING)
    return {
        f"{1e4 * cost:g} bp": {
            arm: round(_ratios(walked, arm, counts, cost=cost)[0], 4) for arm in arms
        }
        for cost in COSTS
    }


def measure_disruption() -> Result:
    """Hold the options' moves against the bars, with every seed and both sets of specialists."""
    seconds = [each.seconds for each in walks()[SIMPLE] if each.seconds is not None]
    row, hard = table(SIMPLE)[LEARNED], table(SIMPLE)[HARD]
    seeds = {of: by_seed(of) for of in walks()}
    every = [each for rows in seeds.values() for each in rows.values()]
    worst = {
        name: max(_or_zero(each[name]) for each in every)
        for name in ("at_hard_flips", "at_own_flips", "p99", "of_hard")
    }
    return Result(
        value=round(100.0 * row["at_hard_flips"], 2),
        holds=max(worst["at_hard_flips"], worst["at_own_flips"]) <= PER_SWITCH
        and worst["p99"] <= P99
        and worst["of_hard"] <= RATIO
        and max(seconds) <= TRAINING_S,
        n=row["n_hard_flips"],
        peer=HARD,
        ratio=round(row["at_hard_flips"] / hard["at_hard_flips"], 4),
        parts={
            "worst_of_seeds_and_specialists": rounded(worst),
            "training_seconds_worst": round(max(seconds), 1),
            "episodes_per_hour_worst": round(3_600.0 * _EPISODES / max(seconds)),
            "options_by_seed": {
                of: {seed: rounded(each) for seed, each in rows.items()}
                for of, rows in seeds.items()
            },
            "arms": _arms(SIMPLE),
            "arms_on_own_networks": _arms(OWN),
        },
    )


def measure_routing() -> Result:
    """Hold the options' net Sharpe ratio against hard routing's."""
    row = table(SIMPLE)[LEARNED]
    return Result(
        value=round(row["vs_hard"], 3),
        holds=row["vs_hard_interval"][0] >= 0.0,
        n=len(SEEDS),
        peer=HARD,
        parts={
            **_compared(("vs_hard", "one_book_vs_hard")),
            "sharpe_by_cost": by_cost(),
            "arms": _arms(SIMPLE),
        },
    )


def measure_hedge() -> Result:
    """Hold the options' net Sharpe ratio against Hedge's, both kinds, and that of equal weights."""
    row = table(SIMPLE)[LEARNED]
    lowest = min(row[f"{name}_interval"][0] for name in ("vs_hedge", "vs_earning", "vs_equal"))
    chosen = [each.report["policy"] for walked in walks().values() for each in walked]
    return Result(
        value=round(row["vs_hedge"], 3),
        holds=lowest >= MARGIN,
        n=len(SEEDS),
        peer=TRUSTING,
        parts={
            "lowest_bound": round(lowest, 4),
            **_compared(
                ("vs_hedge", "vs_earning", "vs_equal", "one_book_vs_hedge", "one_book_vs_equal")
            ),
            "options_chosen": f"{chosen.count('options')} of {len(chosen)}",
            "arms": _arms(SIMPLE),
        },
    )


def _compared(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        of: rounded({key: row[key] for name in names for key in (name, f"{name}_interval")})
        for of in walks()
        for row in [table(of)[LEARNED]]
    }


def _arms(of: str) -> dict[str, dict[str, Any]]:
    return {arm: rounded(row) for arm, row in table(of).items()}


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Round for people; JSON has no NaN, so what is unknown is None."""
    return {name: _rounded(value) for name, value in row.items()}


def _rounded(value: Any) -> Any:  # noqa: ANN401  any figure
    if isinstance(value, tuple | list):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return rounded(value) if isinstance(value, dict) else value


META_DISRUPTION = Measurement(
    "meta-disruption",
    "% of the book per switch of the hard label",
    "<= 5 % at hard and at own flips, P99 of a bar <= 10 %, <= 1/3 of hard routing, every seed; "
    "a controller trained in <= 60 s",
    7,
    measure_disruption,
)
META_VS_ROUTING = Measurement(
    "meta-vs-routing",
    "net Sharpe ratio less hard routing's",
    "lower end of the 95 % interval >= 0",
    7,
    measure_routing,
)
META_VS_HEDGE = Measurement(
    "meta-vs-hedge",
    "net Sharpe ratio less Hedge's",
    "lower ends against Hedge, Hedge on earnings and equal weights >= -0.10",
    7,
    measure_hedge,
)
