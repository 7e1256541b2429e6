"""``soak``: an hour in which something is struck every minute, and what a role's memory does.

Bars of ten seconds close by the wall clock; a worker, the broker, the database, Redis or the audit
trail's role is killed or taken away once a minute (tests/chaos/soak.py). At the end the judge reads
the run's topics and rows. ``python -m tests.evidence.soak --minutes 5`` is a shorter one.

*Availability* is the share of bars that are seen to be decided within a bar of their close, on the
clock by which they were due: later a decision would meet the next bar's.

*Memory* is the slope of a role's resident set over the lives of its processes, each with a level of
its own and without its first two minutes, in which caches fill. The bounds are those of 95 % of
slopes over resampled minutes (block bootstrap), for neighbouring samples are alike.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tests.chaos.soak import BAR_S, ROLES, Sample, Soaked, soak
from tests.evidence.chaos import FIRST_SEED, own_place
from tests.evidence.measurement import Measurement, Result, quantile

MINUTES = 60
TARGET_PERCENT = 99.5
# What the alert MemoryGrowing calls a leak.
MOST_MB_PER_HOUR = 50_000_000 / 2**20
MOST_FILES = 16

_WARM_S = 120.0
_BLOCK_S = 60.0
_N_RESAMPLED = 2_000
_HOUR_S = 3_600.0


class Slope(NamedTuple):
    """A slope per hour and its 95 % bounds; NaN where too little was seen."""

    per_hour: float
    low: float
    high: float


def lives(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return samples by the process they are of, each without its first two minutes."""
    of_each = [list(of) for _, of in groupby(samples, key=lambda one: one.pid)]
    return [
        warm for of in of_each if (warm := [one for one in of if one.at_s - of[0].at_s >= _WARM_S])
    ]


def slope(samples: Sequence[Sample], seed: int = FIRST_SEED) -> Slope:
    """Return how fast memory grows within the lives of a role's processes."""
    blocks = []
    for life in lives(samples):
        times = np.array([one.at_s for one in life]) / _HOUR_S
        sizes = np.array([one.memory_mb for one in life])
        times_from, sizes_from = times - times.mean(), sizes - sizes.mean()
        number = ((times - times[0]) * _HOUR_S // _BLOCK_S).astype(int)
        for block in range(number[-1] + 1):
            here = number == block
            blocks.append(((times_from * sizes_from)[here].sum(), (times_from**2)[here].sum()))
    if len(blocks) < 2:
        return Slope(float("nan"), float("nan"), float("nan"))
    sums = np.array(blocks)
    draw = np.random.default_rng(seed)
    drawn = sums[draw.integers(0, len(sums), (_N_RESAMPLED, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    up, across = sums.sum(axis=0)
    return Slope(float(up / across), float(low), float(high))


def files_grown(samples: Sequence[Sample]) -> int:
    """Return by how many open files the longest life ended above its begin."""
    longest = max(lives(samples), key=len, default=[])
    return longest[-1].n_files - longest[0].n_files if longest else 0


def told(found: Soaked) -> Result:
    """Return what a soak says."""
    of = {role: [one for one in found.samples if one.role == role] for role in ROLES}
    slopes = {role: slope(samples) for role, samples in of.items()}
    files = {role: files_grown(samples) for role, samples in of.items()}
    n_in_time = sum(late_s <= BAR_S for late_s in found.late_s)
    percent = 100.0 * n_in_time / len(found.late_s)
    late_s = sorted(found.late_s)
    holds = (
        percent >= TARGET_PERCENT
        and not found.played.violations
        and all(one.high < MOST_MB_PER_HOUR for one in slopes.values())
        and max(files.values()) <= MOST_FILES
    )
    parts = {
        "strikes": dict(sorted(found.strikes.items())),
        "violations": found.played.violations,
        "late_p50_s": round(quantile(late_s, 0.5), 3),
        "late_p95_s": round(quantile(late_s, 0.95), 2),
        "late_max_s": round(late_s[-1], 2),
        "recovery_max_s": round(max(found.played.recoveries_s, default=0.0), 2),
        "mb_per_hour": {role: [round(number, 1) for number in one] for role, one in slopes.items()},
        "files_grown": files,
        "said_again": found.played.n_repeats,
    }
    return Result(round(percent, 2), holds, len(found.late_s), parts)


def measure(minutes: int = MINUTES) -> Result:
    """Soak a stack of its own."""
    with own_place() as place:
        return told(asyncio.run(soak(place, FIRST_SEED, minutes)))


SOAK = Measurement(
    "soak",
    f"% of bars of {BAR_S:g} s decided within a bar, with a fault every minute for an hour",
    f">= {TARGET_PERCENT:g}, no promise broken, memory below {MOST_MB_PER_HOUR:.0f} MB/h "
    f"with 95 % certainty, at most {MOST_FILES} files more",
    MINUTES + 10,
    measure,
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.evidence.soak")
    parser.add_argument("--minutes", type=int, default=MINUTES)
    print(json.dumps(measure(parser.parse_args().minutes)._asdict(), indent=2))  # noqa: T201  a command's output
