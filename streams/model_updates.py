"""What is said about a model that learned, on ``model-updates``."""

from typing import Literal

import msgspec

UpdateType = Literal["online_update", "rollback"]
Outcome = Literal["promoted", "refused", "rolled_back", "failed", "cancelled"]


class DataWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of an update: closes in RFC 3339, the first and last of what was learned and judged.

    ``origin`` says where they are from: ``file``, ``journal``, or ``journal and fit`` where bars
    that the models were fitted on stand before the days that the stack has kept.
    """

    learned_first_close: str
    learned_last_close: str
    judged_first_close: str
    judged_last_close: str
    n_learned_bars: int
    n_judged_bars: int
    origin: str


class PerformanceMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Before and after on the judged bars; percent of the champion's, null where undefined."""

    sharpe_pre: float | None
    sharpe_post: float | None
    degradation_pct: float | None
    loss_pre: float | None
    loss_post: float | None
    loss_degradation_pct: float | None


class StabilityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said: bounds of the mean difference of the losses, in nats."""

    passed: bool
    reasons: list[str]
    n_bars: int
    lower: float | None
    upper: float | None


class ModelUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An update and what became of it, key = ``model_id``.

    ``model_id`` is the registered name, or the timeframe where nothing is registered; ``before``
    and ``after`` are digests of model sets. ``promoted`` is ``after`` to candidate, which decides
    nothing; ``rolled_back`` is ``before``, a candidate or a champion, and what learned from it. A
    job is told at least once: ``job_id``, ``update_type`` and ``before`` name the record.
    """

    event_type: Literal["model_update"] = "model_update"
    timestamp: str
    job_id: str
    model_id: str
    update_type: UpdateType
    outcome: Outcome
    before: str
    after: str
    detail: str = ""
    data_window: DataWindow | None = None
    performance_metrics: PerformanceMetrics | None = None
    stability_check: StabilityCheck | None = None
    moved_fraction: float | None = None
    from_base_fraction: float | None = None
    penalty: float | None = None
    is_learning: bool | None = None
