"""``regime-alignment``: whether names survive a refit every month, and keep their meaning."""

from typing import NamedTuple

import numpy as np

from models.errors import LabelsUnaligned
from models.regime import alignment, mixture, mixture_settings, posterior
from models.regime.posterior import RegimeModel
from tests.evidence.measurement import Measurement, Result
from tests.evidence.regime_data import COLUMNS, Floats, features_of, first_usable, index, stocks
from tests.evidence.regime_walk import overlap

TARGET = 0.95
REFIT_BARS = 21
FIRST_FIT_BARS = 2_000
SEEDS = (101, 102)

# The stocks' refits are slower; theirs are the last eight years.
_STOCK_REFITS = 96
_COLD_EVERY = 24
_MAX_OVERLAP_ROWS = 20_000


class Refits(NamedTuple):
    """What happened month after month.

    Shares of the overlap with the same name: between the served model and the new one
    (``agreements``), and between carried names and those of the stored rule (``by_rule``);
    ``n_ordered`` refits after which bars called bull had risen more than those called sideways, and
    these more than those called bear.
    """

    agreements: list[float]
    by_rule: list[float]
    n_refused: int
    n_ordered: int

    def summary(self) -> dict[str, float | int]:
        """Give the figures of all refits, the refused ones included."""
        served = [each for each in self.agreements if each >= mixture_settings.MIN_AGREEMENT]
        return {
            "mean": round(float(np.mean(self.agreements)), 4),
            "min": round(min(self.agreements), 4),
            "min_served": round(min(served, default=1.0), 4),
            "n": len(self.agreements),
            "refused": self.n_refused,
            "names_keep_their_order": round(self.n_ordered / len(self.agreements), 3),
            "same_as_rule": round(float(np.mean(self.by_rule)), 3),
        }


def refits(features: Floats, seed: int, first: int, window: int | None = None) -> Refits:
    """Refit every month, warm and with the names carried; what is refused changes nothing.

    Fitted on the last ``window`` bars, or on all history so far.
    """
    served: RegimeModel | None = None
    agreements, by_rule, n_refused, n_ordered = [], [], 0, 0
    for end in range(first, len(features) + 1, REFIT_BARS):
        past = features[0 if window is None else end - window : end]
        fitted = mixture.fit(past, columns=COLUMNS, seed=seed, previous=served)
        if served is None:
            served = fitted
            continue
        shared = _shared(past)
        carried = _carried(served, fitted, shared)
        agreements.append(alignment.agreement(served, carried, shared))
        by_rule.append(alignment.agreement(carried, fitted, shared))
        try:
            served = alignment.align(served, fitted, shared).model
        except LabelsUnaligned:
            n_refused += 1
        n_ordered += _ordered(served, shared)
    return Refits(agreements, by_rule, n_refused, n_ordered)


def cold_refits(features: Floats, seed: int, first: int) -> list[float]:
    """Compare two fits from scratch a month apart, every second year, named by the rule alone."""
    agreements = []
    for end in range(first, len(features) + 1 - REFIT_BARS, REFIT_BARS * _COLD_EVERY):
        models = [
            mixture.fit(features[:stop], columns=COLUMNS, seed=seed)
            for stop in (end, end + REFIT_BARS)
        ]
        shared = _shared(features[: end + REFIT_BARS])
        agreements.append(alignment.agreement(models[0], models[1], shared))
    return agreements


def _carried(served: RegimeModel, fitted: RegimeModel, shared: Floats) -> RegimeModel:
    """Carry the names without judging them, so that refused refits count in the mean."""
    mass = posterior.responsibilities(served, shared).T @ posterior.responsibilities(fitted, shared)
    names = served.component_regime[alignment.assignment(mass)]
    return fitted._replace(component_regime=names)


def _shared(past: Floats) -> Floats:
    rows = overlap(past, REFIT_BARS)
    return rows[:: max(1, len(rows) // _MAX_OVERLAP_ROWS)]


def _ordered(model: RegimeModel, rows: Floats) -> bool:
    """Say whether the mean return of 63 bars falls from bull to sideways to bear."""
    names = posterior.posterior(model, rows).argmax(axis=1)
    momentum = rows[:, mixture_settings.FEATURES.index("return_63")]
    bull, bear, sideways = (
        momentum[names == k].mean() if (names == k).any() else np.nan for k in range(3)
    )
    return bool(bull > sideways > bear)


def measure() -> Result:
    """Refit the index on all history with two fresh seeds, the stocks with one; then the rest."""
    spx, many = features_of(index().name), features_of(stocks().name)
    first = first_usable() + FIRST_FIT_BARS
    runs = {f"spx_seed_{seed}": refits(spx, seed, first) for seed in SEEDS}
    late = len(many) - _STOCK_REFITS * REFIT_BARS
    runs["stocks"] = refits(many, SEEDS[0], late)
    pooled = [share for run in runs.values() for share in run.agreements]
    rolling = refits(spx[first_usable() :], SEEDS[0], FIRST_FIT_BARS, FIRST_FIT_BARS)
    cold = cold_refits(spx, SEEDS[0], first)
    n_below = sum(share < mixture_settings.MIN_AGREEMENT for share in pooled)
    n_refused = sum(run.n_refused for run in runs.values())
    return Result(
        value=round(float(np.mean(pooled)), 4),
        holds=float(np.mean(pooled)) >= TARGET and n_refused >= n_below,
        n=len(pooled),
        parts={
            "below_0.85": n_below,
            "refused": n_refused,
            **{name: run.summary() for name, run in runs.items()},
            "spx_rolling_2000_bars": rolling.summary(),
            "spx_cold_by_rule_mean": round(float(np.mean(cold)), 4),
            "spx_cold_by_rule_min": round(min(cold), 4),
            "n_cold": len(cold),
        },
    )


REGIME_ALIGNMENT = Measurement(
    "regime-alignment",
    "share of bars with the same name, mean over monthly refits",
    f">= {TARGET:g}; refits below {mixture_settings.MIN_AGREEMENT:g} refused",
    4,
    measure,
)
