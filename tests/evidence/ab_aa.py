"""``ab-aa``: two arms that are alike, looked at after every bar; and how fast a difference shows.

Each run draws a market whose rises have a known probability, and two arms that both know it up to
noise of their own. No arm is better, so whoever calls one better or worse is wrong. Beside it the
test that most dashboards use, a mean with 1.96 standard errors, on the same runs. Two more
challengers are held against the champion: one at the edge of what is borne, and one that is the
champion but for little noise, as an update of it is.
"""

import math

import numpy as np

from models import paired
from models.rollout import comparison
from models.rollout.comparison import MIN_BARS, TIGHTEST_AT, Bar
from tests.evidence.measurement import Measurement, Result

N_RUNS, N_BARS, N_SYMBOLS = 1_000, 2_000, 5
SEED = 4_100
MOST_FALSE = 0.05
N_POWER_RUNS = 300
NOISE = 0.08
_NAIVE_Z = 1.96
_N_FOLDED = 5
# How much less noise the challenger has than the champion; below zero it has more.
GAINS = (-1.0, -0.5, 0.0, 0.25, 0.5, 1.0)
LEAST_NATS = paired.TOLERANCE_FRACTION * paired.SMALLEST_GAIN_NATS
# What an update adds to the champion's probabilities.
UPDATE_NOISE = 0.004


class Run:
    """One market and what both arms say of it; without a gain the challenger is an update."""

    def __init__(self, seed: int, gain: float | None = 0.0) -> None:
        draw = np.random.default_rng(seed)
        truth = draw.uniform(0.3, 0.7, (N_BARS, N_SYMBOLS))
        signs = np.where(draw.random(truth.shape) < truth, 1.0, -1.0)
        self.returns = signs * np.abs(draw.normal(0.0, 0.01, truth.shape)) + 0.0
        noise = draw.normal(0.0, NOISE, (2, *truth.shape))
        if gain is None:
            noise[1] = noise[0] + noise[1] * (UPDATE_NOISE / NOISE)
        else:
            noise[1] *= 1.0 - gain
        self.up = np.clip(truth + noise, 0.02, 0.98)
        known = np.ones(truth.shape, np.bool_)
        self.lost = np.array([paired.losses(up, self.returns, known) for up in self.up])


class Seen:
    """What is seen after every bar from ``MIN_BARS`` on."""

    def __init__(self, lost: np.ndarray) -> None:
        difference = lost[1] - lost[0]
        mean, deviation, wide = _running(difference)
        from_bar = slice(MIN_BARS - 1, None)
        self.lower, self.upper = (mean - wide)[from_bar], (mean + wide)[from_bar]
        beyond, _, wide_beyond = _running(paired.beyond(lost[0], lost[1]))
        self.beyond = (beyond + wide_beyond)[from_bar]
        self.z = (np.abs(mean) * np.sqrt(np.arange(1.0, N_BARS + 1.0)) / deviation)[from_bar]

    @property
    def is_better(self) -> bool:
        """Whether the challenger is called better at any bar."""
        return bool((self.upper < 0.0).any())

    @property
    def is_worse(self) -> bool:
        """Whether it is called worse at any bar."""
        return bool((self.lower > 0.0).any())

    def first_harmless(self) -> float:
        """Return the bar at which it is shown to be harmless first; infinite if at none."""
        is_harmless = (self.beyond <= 0.0) | (self.upper <= LEAST_NATS)
        shown = np.flatnonzero(is_harmless & ~(self.lower > 0.0))
        return float(shown[0] + MIN_BARS) if len(shown) else math.inf


def _running(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give mean, deviation, and half the width of the bounds, after every bar."""
    count = np.arange(1.0, N_BARS + 1.0)
    mean = np.cumsum(values) / count
    deviation = np.sqrt(np.maximum(np.cumsum(values**2) / count - mean**2, 0.0))
    return mean, deviation, paired.radius(count, deviation, tightest_at=TIGHTEST_AT)


def check_fold(run: Run, seen: Seen) -> float:
    """Fold a run as the product does; give the largest distance from the bounds used here."""
    state = comparison.initial_state(N_SYMBOLS)
    close = np.ones(N_SYMBOLS)
    weights = np.full((2, N_SYMBOLS, 3), 1.0 / 3.0)
    worst = 0.0
    for at in range(N_BARS + 1):
        up = run.up[:, min(at, N_BARS - 1)]
        state = comparison.step(state, Bar(close, up, 0.2 * (up - 0.5), weights))
        if at < N_BARS:
            close = close * (1.0 + run.returns[at])
        if at >= MIN_BARS:
            found = comparison.findings(state)
            place = at - MIN_BARS
            worst = max(
                worst,
                abs(found.loss_lower - seen.lower[place]),
                abs(found.loss_upper - seen.upper[place]),
                abs(found.beyond_upper - seen.beyond[place]),
            )
    return worst


def power() -> list[dict[str, float | None]]:
    """Say for each difference how often it is called so, and after how many bars."""
    rows: list[dict[str, float | None]] = []
    for number, gain in enumerate((*GAINS, None)):
        runs = [Run(SEED + 10_000 * (number + 1) + k, gain) for k in range(N_POWER_RUNS)]
        seen = [Seen(run.lost) for run in runs]
        firsts = sorted(each.first_harmless() for each in seen)
        median = firsts[len(firsts) // 2]
        rows.append(
            {
                "gain": gain,
                "loss_difference": float(np.mean([r.lost[1] - r.lost[0] for r in runs])),
                "called_better": _share(each.is_better for each in seen),
                "called_worse": _share(each.is_worse for each in seen),
                "shown_harmless": _share(math.isfinite(first) for first in firsts),
                "median_bars_to_harmless": median if math.isfinite(median) else None,
            }
        )
    return rows


def measure() -> Result:
    """Count what is called a difference where there is none."""
    runs = [Run(SEED + k) for k in range(N_RUNS)]
    seen = [Seen(run.lost) for run in runs]
    updates = [Run(SEED + k, None) for k in range(N_RUNS)]
    # At the edge of what is borne: every loss of the challenger higher by just that.
    more = paired.tolerated(float(np.mean([run.lost[0].mean() for run in runs])))
    shift = np.array([[0.0], [more]])
    edge, near = (
        _share(math.isfinite(Seen(run.lost + shift).first_harmless()) for run in group)
        for group in (runs, updates)
    )
    better, worse = _share(s.is_better for s in seen), _share(s.is_worse for s in seen)
    false = _share(s.is_better or s.is_worse for s in seen)
    naive = _share(bool((s.z > _NAIVE_Z).any()) for s in seen)
    folded = zip(runs[:_N_FOLDED], seen, strict=False)
    apart = float(max(check_fold(run, one) for run, one in folded))
    return Result(
        value=100.0 * false,
        holds=max(false, edge, near) <= MOST_FALSE and apart < 1e-9,
        n=N_RUNS,
        parts={
            "called_better_fraction": better,
            "called_worse_fraction": worse,
            "edge_nats": more,
            "promoted_at_the_edge_fraction": edge,
            "updates_promoted_at_the_edge_fraction": near,
            "naive_fraction": naive,
            "bars": N_BARS,
            "looks_a_run": N_BARS - MIN_BARS + 1,
            "folded_runs": _N_FOLDED,
            "largest_distance_from_the_fold": apart,
            "power": power(),
        },
        peer="a mean with 1.96 standard errors, looked at as often",
        ratio=naive / max(false, 1.0 / N_RUNS),
    )


def _share(flags: object) -> float:
    found = list(flags)  # type: ignore[call-overload]
    return float(np.mean(found))


AB_AA = Measurement(
    "ab-aa",
    "% of runs in which equal arms are called different",
    f"<= {MOST_FALSE:.0%} of {N_RUNS:,} runs, looked at after every bar; as few promotions of one "
    "that loses 5 % of the champion's gain",
    2,
    measure,
)
