"""``ab-split``: a million portfolios' symbols, and how many of them the hash gives to a challenger.

The count of a share must lie where a fair coin would put it in 999 of 1,000 cases, for every
rollout; who is in a share must be in every larger one, and must be the same when asked again.
"""

from scipy.stats import binom

from models.rollout.assignment import challenged
from models.rollout.stages import STAGES
from tests.evidence.measurement import Measurement, Result

N_PORTFOLIOS, N_SYMBOLS = 1_000, 1_000
N_UNITS = N_PORTFOLIOS * N_SYMBOLS
BAND = 0.999
ROLLOUTS = tuple(f"2026-{month:02d}" for month in range(1, 7))
SHARES = tuple(stage.share for stage in STAGES if 0.0 < stage.share < 1.0)


def counts(rollout: str) -> tuple[list[int], int, list[frozenset[str]]]:
    """Return the units in each share, those that left a larger one, and the sets of 5 %."""
    symbols = [f"S{number:04d}" for number in range(N_SYMBOLS)]
    found, left, smallest = [0] * len(SHARES), 0, []
    for number in range(N_PORTFOLIOS):
        sets = [challenged(rollout, f"p{number}", symbols, share) for share in SHARES]
        again = challenged(rollout, f"p{number}", symbols[::-1], SHARES[0])
        left += len(sets[0] - sets[1]) + len(again ^ sets[0])
        smallest.append(sets[0])
        for place, each in enumerate(sets):
            found[place] += len(each)
    return found, left, smallest


def measure() -> Result:
    """Count."""
    bands = [binom.interval(BAND, N_UNITS, share) for share in SHARES]
    outside, left, rows, before = 0, 0, {}, None
    overlaps = []
    for rollout in ROLLOUTS:
        found, moved, smallest = counts(rollout)
        left += moved
        outside += sum(not low <= n <= high for n, (low, high) in zip(found, bands, strict=True))
        rows[rollout] = dict(zip((f"{share:.0%}" for share in SHARES), found, strict=True))
        if before is not None:
            both = sum(len(a & b) for a, b in zip(before, smallest, strict=True))
            overlaps.append(both / N_UNITS)
        before = smallest
    return Result(
        value=float(outside),
        holds=outside == 0 and left == 0,
        n=N_UNITS * len(ROLLOUTS),
        parts={
            "counts": rows,
            "bands": {
                f"{share:.0%}": [int(low), int(high)]
                for share, (low, high) in zip(SHARES, bands, strict=True)
            },
            "units_that_changed_sides": left,
            "in_two_rollouts_in_a_row_fraction": max(overlaps),
            "expected_fraction": SHARES[0] ** 2,
        },
    )


AB_SPLIT = Measurement(
    "ab-split",
    "shares outside the band",
    f"0 outside the binomial {BAND:.1%} band at {N_UNITS:,} units; nobody changes sides",
    1,
    measure,
)
