"""May a candidate replace the champion? Both are held against the same bars that neither learned.

The gate is the paired loss with a confidence sequence, which may be looked at after every bar; the
Sharpe ratios before and after are a second guard, because that of thirty days has a standard error
of about 2.9 by itself.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from models import measures, paired
from models.arrays import Floats
from models.errors import ShapeError
from models.prediction import quality

MIN_BARS = 10
"""Fewer bars say nothing; no data never promotes."""

SMALLEST_SHARPE = 1.0
"""A fall is measured against at least this ratio: near zero every fall would be infinite."""


class Said(NamedTuple):
    """What a model set said at each bar of a stretch.

    Attributes
    ----------
    probability_up : (n_bars, n_symbols)
        NaN where it said nothing.
    target_fraction : (n_bars, n_symbols)
        Of equity, signed.
    """

    probability_up: Floats
    target_fraction: Floats


class Stability(NamedTuple):
    """How a candidate did beside the champion.

    Attributes
    ----------
    reasons : tuple of str
        Why it is refused; none if it passed.
    n_bars : int
        Bars on which both said something.
    loss_champion, loss_candidate : float
        Mean log loss in nats.
    lower, upper : float
        Bounds of the mean difference, candidate less champion, at all bars together.
    loss_degradation_fraction : float
        Rise of the mean loss; negative is better.
    sharpe_pre, sharpe_post : float
        Annualised ratios of champion and candidate, long only and without costs.
    sharpe_degradation_fraction : float
        Fall of the ratio over the champion's, or over ``SMALLEST_SHARPE`` if that is larger.
    rank_ic : float
        Mean rank correlation of the candidate's probabilities with what came, across symbols; NaN
        with fewer than three of them.
    """

    reasons: tuple[str, ...]
    n_bars: int
    loss_champion: float
    loss_candidate: float
    lower: float
    upper: float
    loss_degradation_fraction: float
    sharpe_pre: float
    sharpe_post: float
    sharpe_degradation_fraction: float
    rank_ic: float

    @property
    def passed(self) -> bool:
        """Whether the candidate may replace the champion."""
        return not self.reasons

    def record(self) -> dict[str, Any]:
        """Return the numbers as JSON values; None where one is not finite."""
        numbers = {
            name: value if not isinstance(value, float) or math.isfinite(value) else None
            for name, value in self._asdict().items()
        }
        return {**numbers, "reasons": list(self.reasons), "passed": self.passed}


def judge(
    champion: Said, candidate: Said, next_returns: Floats, *, bars_per_year: float
) -> Stability:
    """Hold a candidate against the champion on the same bars.

    Refused as ``TOO_FEW_BARS``; as ``LOSS_WORSE`` if the loss is higher for certain; as
    ``NOT_SHOWN_HARMLESS`` if it may be higher by more than 5 % of what the champion gains over
    knowing nothing; as ``LOSS_DEGRADED`` or ``SHARPE_DEGRADED`` if it is worse by more than 30 %;
    as ``SHARPE_UNKNOWN`` if one of the two ratios is none.

    Parameters
    ----------
    champion, candidate : Said
    next_returns : (n_bars, n_symbols)
        Fractions to the next bar; NaN is left out.
    bars_per_year : float

    Returns
    -------
    Stability

    Raises
    ------
    ShapeError
        If the three do not belong together.

    Examples
    --------
    >>> rises = np.tile([[0.01], [-0.01]], (10, 1))
    >>> sure, wrong = (Said(0.5 + way * rises, np.full((20, 1), 0.1)) for way in (20.0, -20.0))
    >>> judge(wrong, sure, rises, bars_per_year=252.0).passed
    True
    >>> judge(sure, wrong, rises, bars_per_year=252.0).reasons
    ('LOSS_WORSE', 'NOT_SHOWN_HARMLESS', 'LOSS_DEGRADED')
    """
    for said in (champion, candidate):
        shapes = {values.shape for values in said}
        if shapes != {next_returns.shape}:
            raise ShapeError(
                f"what was said must be {next_returns.shape} beside next_returns, was {shapes}"
            )
    known = np.isfinite(next_returns)
    for said in (champion, candidate):
        known = known & np.isfinite(said.probability_up)
    bars = known.any(axis=1)
    before, after = (
        paired.losses(said.probability_up, next_returns, known)[bars]
        for said in (champion, candidate)
    )
    pre, post = (
        measures.sharpe(
            paired.earned(said.target_fraction, next_returns, known)[bars],
            bars_per_year=bars_per_year,
        )
        for said in (champion, candidate)
    )
    lower, upper = bounds(after - before)
    mean_before, mean_after = (_mean(losses) for losses in (before, after))
    found = Stability(
        reasons=(),
        n_bars=len(before),
        loss_champion=mean_before,
        loss_candidate=mean_after,
        lower=lower,
        upper=upper,
        loss_degradation_fraction=mean_after / mean_before - 1.0,
        sharpe_pre=pre,
        sharpe_post=post,
        sharpe_degradation_fraction=(pre - post) / max(abs(pre), SMALLEST_SHARPE),
        rank_ic=_rank_ic(np.where(known, candidate.probability_up, np.nan), next_returns),
    )
    return found._replace(reasons=_reasons(found))


def beside_fit(found: Stability, of_fit: Stability) -> Stability:
    """Refuse also what does harm beside the set that was fitted, however good the champion is.

    Small steps, each let in, may add up to a long way. The Sharpe ratio is left out: what has gone
    far holds other books, and their ratios of thirty days differ by chance.

    Parameters
    ----------
    found, of_fit : Stability
        The candidate beside the champion, and beside the fit, on the same bars.
    """
    broken = tuple(f"FIT_{code}" for code in of_fit.reasons if not code.startswith("SHARPE"))
    return found._replace(reasons=found.reasons + broken)


def bounds(differences: Floats) -> tuple[float, float]:
    """Bound the mean of differences, by the confidence sequence that is tightest at their number.

    Parameters
    ----------
    differences : (n,)
        In the order of time; finite.

    Returns
    -------
    lower, upper : float
        Minus and plus infinity with fewer than two differences.

    Examples
    --------
    >>> lower, upper = bounds(np.array([1.0, 3.0] * 50))
    >>> round(lower, 3), round(upper, 3)
    (1.696, 2.304)
    """
    n = len(differences)
    if n < 2:  # noqa: PLR2004  a deviation needs two
        return -math.inf, math.inf
    wide = float(paired.radius(n, float(differences.std()), tightest_at=n))
    mean = float(differences.mean())
    return mean - wide, mean + wide


def _reasons(found: Stability) -> tuple[str, ...]:
    if found.n_bars < MIN_BARS:
        return ("TOO_FEW_BARS",)
    broken = {
        "LOSS_WORSE": found.lower > 0.0,
        "NOT_SHOWN_HARMLESS": not found.upper <= paired.tolerated(found.loss_champion),
        "LOSS_DEGRADED": not found.loss_degradation_fraction <= paired.MAX_DEGRADATION_FRACTION,
        # Of who trades nothing there is no ratio, and what is not known lets nobody in.
        "SHARPE_UNKNOWN": math.isnan(found.sharpe_degradation_fraction),
        "SHARPE_DEGRADED": found.sharpe_degradation_fraction > paired.MAX_DEGRADATION_FRACTION,
    }
    return tuple(code for code, is_broken in broken.items() if is_broken)


def _rank_ic(probabilities: Floats, next_returns: Floats) -> float:
    by_bar = quality.rank_correlations(probabilities, next_returns)
    return _mean(by_bar[np.isfinite(by_bar)])


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan
