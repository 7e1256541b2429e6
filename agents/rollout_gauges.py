"""What the running stage of a rollout has shown, as gauges."""

import math

from streams import metrics
from streams.rollouts import Evidence


def show_evidence(said: Evidence) -> None:
    """Set the gauges of a stage; what is not known yet is no number, or none."""
    metrics.ROLLOUT_BARS.set(said.n_bars)
    metrics.ROLLOUT_AGREEMENT.set((said.agreement_pct or 0.0) / 100.0)
    metrics.ROLLOUT_WEIGHT_DISTANCE.set(said.weight_distance or 0.0)
    metrics.ROLLOUT_SPLIT_ALARM.set("SAMPLE_RATIO" in said.reasons_against)
    metrics.ROLLOUT_CORRELATION.set(_or_nan(said.target_correlation))
    for bound in ("lower", "upper"):
        loss, earned = (getattr(said, f"{name}_{bound}") for name in ("loss", "earned"))
        metrics.ROLLOUT_LOSS_DIFFERENCE.labels(bound).set(_or_nan(loss))
        metrics.ROLLOUT_EARNED_DIFFERENCE.labels(bound).set(_or_nan(earned))
    for arm, figures in (("champion", said.champion), ("challenger", said.challenger)):
        metrics.ROLLOUT_LOSS.labels(arm).set(figures.loss or 0.0)
        metrics.ROLLOUT_EARNED.labels(arm).set(figures.earned_fraction or 0.0)
        metrics.ROLLOUT_DECISIONS.labels(arm).set(figures.n_decisions)
        metrics.ROLLOUT_REFUSED.labels(arm).set(figures.n_refused)
        metrics.ROLLOUT_VIOLATIONS.labels(arm).set(figures.n_violations)
        metrics.ROLLOUT_P95_SECONDS.labels(arm).set((figures.p95_ms or 0.0) / 1e3)


def _or_nan(value: float | None) -> float:
    """Return a number, or what a chart leaves out."""
    return math.nan if value is None else value
