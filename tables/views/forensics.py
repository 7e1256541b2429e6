"""``GET /api/v1/forensics/{decision_id}``: why it was decided, and where the audit trail has it.

Explanations are made beside trading and come a moment after their decision: until then 202. What
was not drawn into the sample is explained on demand.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.model_set import ModelSet
from streams.errors import RecordError
from streams.explanation import Explanation
from streams.questions import AuditPlace, ForensicsAnswer
from streams.records import Decision
from streams.timestamps import parse_ns
from tables.audit_rows import AuditRow
from tables.explanations import explanation, read_decision
from tables.stores.artifacts import ArtifactCorrupt, ArtifactMissing, Artifacts
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.head_trees import Proof
from tables.views.audit_badge import badge_of
from tables.views.auth import Caller
from tables.views.database_away import problem_of
from tables.views.decision_row import is_decision_id
from tables.views.decisions import event_of, unknown_decision
from tables.views.problems import ProblemError, not_ready, wrong
from tables.views.routes import Bound, Call, Nothing, Reply, Route
from tables.views.run_log import Log
from tables.views.run_memory import RunMemory

log = logging.getLogger("tradewind.forensics")


class Audited(NamedTuple):
    """A row of the audit trail, and the decision in it."""

    row: AuditRow
    decision: Decision


class UnreadableError(RecordError):
    """A row of the trail with a decision's id whose bytes are no decision that can be explained.

    Parameters
    ----------
    row
        As the trail has it.
    error
        Why its bytes are none.
    """

    def __init__(self, row: AuditRow, error: RecordError) -> None:
        super().__init__(
            "NOT_A_DECISION",
            f"row {row.seq} of partition {row.log_partition}, offset {row.log_offset}, has this id "
            f"and its bytes are no decision: {error}; so nothing can explain it. "
            "`tradewind audit export` has the bytes",
        )
        self.portfolio = row.portfolio or ""


class Known(NamedTuple):
    """What is known of a decision: its row, its reasons, whether they are stored, its proof."""

    row: AuditRow
    decision: Decision
    explanation: Explanation
    is_stored: bool
    audit: AuditPlace


FORENSICS = Route(
    "GET",
    "/api/v1/forensics/{decision_id}",
    "getForensics",
    "Why was it decided?",
    "The model taken apart, the controls that refused and what would have passed, and the place in "
    "the signed audit trail. 202 with `Retry-After` until the trail has the decision.",
    Nothing,
    ForensicsAnswer,
    limited="features",
    codes=(404, 409),
    statuses=(200, 202),
)


def forensics_endpoints(
    memory: RunMemory, log: Log, reader: AuditReader | None, home: Path
) -> tuple[Bound, ...]:
    """Return the endpoint about reasons; without a database it is not ready."""

    async def forensics(call: Call) -> Reply:
        decision_id = call.path["decision_id"].lower()
        if not is_decision_id(decision_id):
            raise wrong("BAD_ID", "decision_id", decision_id, "a UUID")
        if reader is None:
            raise not_ready("NO_DATABASE", "this process knows no database; DATABASE_URL names one")
        try:
            audited = await _seen(reader, decision_id, call.caller)
            if audited is None:
                await event_of(memory, log, decision_id, call.caller)
                pending = ForensicsAnswer(decision_id=decision_id, pending="not in the trail yet")
                return Reply(pending, 202, {"Retry-After": "1"})
            known = await known_of(reader, home, audited)
        except StoreUnavailable as error:
            raise problem_of(error) from error
        return Reply(
            ForensicsAnswer(
                decision_id=decision_id,
                decision=known.decision,
                explanation=known.explanation,
                is_stored=known.is_stored,
                audit=known.audit,
            )
        )

    return (Bound(FORENSICS, forensics),)


async def _seen(reader: AuditReader, decision_id: str, caller: Caller) -> Audited | None:
    try:
        audited = await audited_of(reader, decision_id)
    except UnreadableError as error:
        if not caller.may_see(error.portfolio):
            raise unknown_decision(decision_id) from error
        raise ProblemError(409, error.reason, error.detail) from error
    if audited is not None and not caller.may_see(audited.decision.portfolio):
        raise unknown_decision(decision_id)
    return audited


async def audited_of(reader: AuditReader, decision_id: str) -> Audited | None:
    """Return a decision as the audit trail has it; None if it has none.

    Raises
    ------
    ValueError
        If the id is no UUID.
    UnreadableError
        If the row's bytes are no decision.
    StoreUnavailable
        If the database does not answer in time.
    """
    row = await reader.row(decision_id)
    if row is None or row.value is None:
        return None
    try:
        decision = read_decision(row.value)
        parse_ns(decision.timestamp)
    except RecordError as error:
        raise UnreadableError(row, error) from error
    return Audited(row, decision)


async def known_of(reader: AuditReader, home: Path, audited: Audited) -> Known:
    """Return what is known of a decision, explained now if it was not before.

    Raises
    ------
    StoreUnavailable
        If the database does not answer in time.
    """
    row, decision = audited
    stored = await reader.explanation(decision.decision_id)
    past = await reader.past(row)

    def explained() -> Explanation:
        try:
            models = models_of(home / "artifacts", decision)
        except ArtifactCorrupt as error:
            log.warning("decision %s is not explained anew: %s", decision.decision_id, error)
            models = None
        return explanation(decision, "demand", models, past)

    made = await asyncio.to_thread(explained)
    if stored is not None:
        # What it was explained for stays, whatever more is told of it now.
        again = msgspec.structs.replace(made, why=stored.why)
        made = stored if made.explained == "controls" else again
    try:
        proof = await reader.proof(row)
    except StoreConflict as error:
        log.warning("decision %s is not proved: %s", decision.decision_id, error)
        proof = None
    audit = _place(row, proof, home)
    return Known(row, decision, made, stored is not None, audit)


def models_of(artifacts: Path, decision: Decision) -> ModelSet | None:
    """Return the models that decided; None if their file is not there.

    Raises
    ------
    ArtifactCorrupt
        If it is not what it was.
    """
    try:
        return Artifacts(artifacts).load_models(decision.digests.models)
    except ArtifactMissing:
        return None


def _place(row: AuditRow, proof: Proof | None, home: Path) -> AuditPlace:
    # The row's own bytes: whether they are Kafka's is another question, and its topic forgets.
    badge = badge_of(row, row.value, proof, home)
    return AuditPlace(
        partition=row.log_partition,
        offset=row.log_offset,
        row=row.seq,
        chain=row.chain.hex(),
        is_proved=badge.state == "verified",
        head=None if proof is None else proof.head.number,
        root=None if proof is None else proof.head.root,
        path=[] if proof is None else proof.path,
    )
