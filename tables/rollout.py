"""Rollouts between the fold of their acts and the wire, and what an epoch becomes by them."""

from typing import Any

import msgspec

from models.rollout.stages import STAGES, Rollout, Transition
from streams.epochs import Challenge, Epoch
from streams.errors import RecordError
from streams.records import read_json
from streams.rollouts import (
    Evidence,
    FeatureFlag,
    RolloutState,
    RolloutTransition,
    StageRecord,
)
from streams.timestamps import format_ns, parse_ns
from tables.archive import RUN, Rows, RunKey, TableSpec, time_of

_NS_PER_S = 10**9
_FIGURES = (
    *("n_bars", "n_decisions", "n_refused", "n_violations"),
    *("p95_ms", "loss_nats", "earned_fraction"),
)
AB_RESULTS = TableSpec(
    "ab_results",
    (*RUN, "rollout_id", "transition", "arm"),
    ("at", "kind", "stage", "state", "decided_by", "reason", "models", *_FIGURES, "evidence"),
    by_time=False,
)
_RECORD = msgspec.json.Decoder(StageRecord)
_STAGE_AT = {stage.name: place for place, stage in enumerate(STAGES)}


def state_event(rollout: Rollout) -> RolloutState:
    """Return how a rollout stands as a record."""
    return RolloutState(
        rollout_id=rollout.id,
        champion=rollout.champion,
        challenger=rollout.challenger,
        dwell_seconds=rollout.dwell_ns / _NS_PER_S,
        stage=_named(rollout.stage),
        share=rollout.share,
        state=rollout.state,
        entered=format_ns(rollout.entered_ns),
        transitions=[_transition_event(each) for each in rollout.transitions],
    )


def _named(stage: int) -> Any:  # noqa: ANN401  one of the record's literals
    return STAGES[stage].name


def _transition_event(made: Transition) -> RolloutTransition:
    evidence = msgspec.convert(dict(made.evidence), Evidence) if made.evidence else None
    return RolloutTransition(
        timestamp=format_ns(made.at_ns),
        kind=made.kind,
        by=made.by,
        reason=made.reason,
        stage=_named(_STAGE_AT[made.stage]),
        state=made.state,
        evidence=evidence,
    )


def rollout_of(said: RolloutState) -> Rollout:
    """Return the rollout that a record tells of."""
    return Rollout(
        id=said.rollout_id,
        champion=said.champion,
        challenger=said.challenger,
        dwell_ns=round(said.dwell_seconds * _NS_PER_S),
        stage=_STAGE_AT[said.stage],
        state=said.state,
        entered_ns=parse_ns(said.entered),
        transitions=tuple(
            Transition(
                each.kind,
                parse_ns(each.timestamp),
                each.by,
                each.reason,
                each.stage,
                each.state,
                {} if each.evidence is None else msgspec.to_builtins(each.evidence),
            )
            for each in said.transitions
        ),
    )


def result_rows(of: RunKey, said: RolloutState) -> Rows:
    """Return the transitions of a rollout, one row per arm; unknown numbers are null."""
    arms = (("champion", said.champion), ("challenger", said.challenger))
    return Rows(
        AB_RESULTS,
        [
            (*of, said.rollout_id, number, arm, *_result(made, arm, models))
            for number, made in enumerate(said.transitions)
            for arm, models in arms
        ],
    )


def _result(made: RolloutTransition, arm: str, models: str) -> tuple[Any, ...]:
    evidence = made.evidence
    step = (
        time_of(parse_ns(made.timestamp)),
        *(made.kind, made.stage, made.state, made.by, made.reason, models),
    )
    if evidence is None:
        return (*step, *(None for _ in _FIGURES), None)
    figures = evidence.champion if arm == "champion" else evidence.challenger
    return (
        *step,
        *(evidence.n_bars, figures.n_decisions, figures.n_refused, figures.n_violations),
        *(figures.p95_ms, figures.loss, figures.earned_fraction),
        msgspec.json.encode(evidence).decode(),
    )


def read_stage_record(value: bytes) -> Rollout | FeatureFlag:
    """Read a record of ``rollout-stages``.

    Raises
    ------
    RecordError
        If it is neither.
    """
    said = read_json(_RECORD, value)
    if isinstance(said, FeatureFlag):
        return said
    if not said.transitions:
        raise RecordError("NO_TRANSITIONS", f"rollout {said.rollout_id!r} has no transition")
    return rollout_of(said)


def epoch_by(epoch: Epoch, rollout: Rollout) -> Epoch | None:
    """Return what an epoch becomes by how a rollout stands; None if it is none of its models'.

    Weights of risk parity stay those of the epoch, whatever models it has.
    """
    if epoch.models not in {rollout.champion, rollout.challenger}:
        return None
    challenge = None
    if not rollout.is_over:
        challenge = Challenge(id=rollout.id, challenger=rollout.challenger, share=rollout.share)
    return msgspec.structs.replace(epoch, models=rollout.models, rollout=challenge)
