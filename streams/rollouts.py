"""What is said about rollouts on ``rollout-stages``: how each one stands, and the flags.

The topic is compacted: the newest record of a key is all that counts, and it holds its past.
"""

from typing import Annotated, Literal

import msgspec

_LONGEST_DWELL_S = 365 * 86_400

RolloutKind = Literal["start", "advance", "hold", "resume", "rollback"]
RolloutStanding = Literal["running", "held", "done", "rolled_back"]
StageName = Literal["shadow", "5%", "25%", "100%"]
FlagName = Literal["auto-advance", "auto-rollback"]

FLAG_KEY = "flag:"


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One arm in a stage, by what was decided in it; null where there is nothing yet.

    ``loss`` is the mean log loss in nats, ``earned_fraction`` the sum of the bars' returns of its
    long targets: both of all rows, whoever decided. The rest is of its own decisions.
    """

    n_decisions: int
    n_refused: int
    n_violations: int
    p50_ms: float | None
    p95_ms: float | None
    loss: float | None
    earned_fraction: float | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage has shown when a transition was made; null where there is nothing yet.

    ``reasons_against`` says why the next stage is not carried by it. Bounds are of the mean
    difference, challenger less champion, at all bars together. ``judged_seconds`` is what counts as
    dwell: bars that were judged, and those for which no market was open.
    """

    n_bars: int
    n_rows: int
    reasons_against: list[str]
    champion: ArmFigures
    challenger: ArmFigures
    loss_lower: float | None
    loss_upper: float | None
    loss_degradation_pct: float | None
    earned_lower: float | None
    earned_upper: float | None
    agreement_pct: float | None
    weight_distance: float | None
    target_correlation: float | None
    largest_target_difference: float | None
    window_p95_ms: float | None
    n_champion_units: int
    n_challenger_units: int
    n_misplaced_units: int
    sample_ratio_p_value: float | None
    judged_seconds: float = 0.0


class RolloutTransition(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a rollout: what was done, by whom, where it led to, and what was known."""

    timestamp: str
    kind: RolloutKind
    by: str
    reason: str
    stage: StageName
    state: RolloutStanding
    evidence: Evidence | None = None


class RolloutState(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="event_type", tag="rollout"
):
    """How a rollout stands, key = ``rollout_id``; ``share`` is what the challenger decides of."""

    rollout_id: str
    champion: str
    challenger: str
    dwell_seconds: float
    stage: StageName
    share: float
    state: RolloutStanding
    entered: str
    transitions: list[RolloutTransition]


class FeatureFlag(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="event_type", tag="feature_flag"
):
    """A switch of the rollouts, key = ``flag:`` and its name.

    ``auto-advance`` lets stages end by themselves, ``auto-rollback`` lets guards end rollouts.
    """

    timestamp: str
    name: FlagName
    is_on: bool
    by: str
    reason: str


StageRecord = RolloutState | FeatureFlag


class StartRollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin a rollout in shadow; ``challenger`` is the digest of a model set.

    Without ``rollout_id`` it is named after day and challenger. ``dwell_seconds`` is how long each
    stage lasts at least before it ends by itself; seven days if it is left out, a year at most.
    """

    challenger: str
    rollout_id: str = ""
    dwell_seconds: Annotated[float, msgspec.Meta(gt=0, le=_LONGEST_DWELL_S)] | None = None
    reason: str = ""


class ActOnRollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a rollout is to go on, to stand or to go back."""

    reason: str = ""


class SetFlag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a flag is to be on, and why."""

    is_on: bool
    reason: str = ""


class RolloutsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All rollouts, the last one first; ``evidence`` is what the running stage has shown so far."""

    rollouts: list[RolloutState]
    flags: list[FeatureFlag]
    evidence: Evidence | None
