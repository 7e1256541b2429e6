"""Why a decision was made, as far as it is known here, and whether the audit trail vouches for it.

A page waits for the database for a moment only: what is not known then is said, with the reason.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.features.catalogue import NAMES
from streams.clock import wall_ns
from streams.explanation import Explanation
from streams.records import Decision
from tables.audit_rows import AuditRow
from tables.explanations import NO_BARS, explanation
from tables.stores.artifacts import ArtifactCorrupt
from tables.stores.audit_reader import AuditReader
from tables.stores.decision_log import LogRecord
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.views.audit_badge import Badge, badge_of
from tables.views.database_away import told_of
from tables.views.forensics import models_of

_PATIENCE_S = 3.0
# The trail is seconds behind the log; one that is so far behind does not run.
_LATE_S = 120
_NO_DATABASE = "this process knows no database, so nothing of the role forensics can be read"
_IN_TIME = f"the database did not answer within {_PATIENCE_S:g} s; reload this page"


class Why(NamedTuple):
    """The explanation, as complete as it can be made here, and the badge."""

    explanation: Explanation
    badge: Badge


class Reasons:
    """Finds reasons: in SQL where they are stored, else made now from the models' file.

    Parameters
    ----------
    reader
        The audit trail; None without a database.
    home
        The stack's folder: its models, and the public key of its trail.
    """

    def __init__(self, reader: AuditReader | None, home: Path) -> None:
        self._reader = reader
        self._home = home
        self._artifacts = home / "artifacts"

    async def of(self, decision: Decision, record: LogRecord) -> Why:
        """Return why a decision was made."""
        if self._reader is None:
            return _alone(decision, Badge("not checked", _NO_DATABASE))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                row = await self._reader.row(decision.decision_id)
                if row is None:
                    return _alone(decision, _missing(record))
                made, badge = await asyncio.gather(
                    self._explained(self._reader, decision, row),
                    self._badge(self._reader, row, record),
                )
                return Why(made, badge)
        except TimeoutError:
            return _alone(decision, Badge("not checked", _IN_TIME))
        except StoreUnavailable as error:
            return _alone(decision, Badge("not checked", told_of(error)))

    async def _explained(
        self, reader: AuditReader, decision: Decision, row: AuditRow
    ) -> Explanation:
        stored = await reader.explanation(decision.decision_id)
        if stored is not None and stored.explained == "model":
            return stored
        past = await reader.past(row)
        try:
            made = await asyncio.to_thread(
                lambda: explanation(decision, "demand", models_of(self._artifacts, decision), past)
            )
        except ArtifactCorrupt as error:
            made = _by_itself(decision, str(error))
        return stored if made.explained == "controls" and stored is not None else made

    async def _badge(self, reader: AuditReader, row: AuditRow, record: LogRecord) -> Badge:
        try:
            proof = await reader.proof(row)
        except StoreConflict as error:
            return Badge("not verified", str(error))
        return badge_of(row, record.value, proof, self._home)


def _missing(record: LogRecord) -> Badge:
    """Return the badge of a decision that the trail has no row of."""
    age_s = wall_ns() // 1_000_000_000 - record.timestamp_ms // 1_000
    if age_s < _LATE_S:
        return Badge("pending", "the trail does not have it yet; it comes within seconds, reload")
    return Badge(
        "not checked",
        f"SQL does not have it {age_s // 60:,} minutes after Kafka: does the role forensics run? A "
        "day that was shelved comes back with `tradewind audit restore`",
    )


def _alone(decision: Decision, badge: Badge) -> Why:
    return Why(_by_itself(decision, badge.detail), badge)


def _by_itself(decision: Decision, why_no_model: str) -> Explanation:
    """Return what the decision says by itself: which controls refused, what would have passed."""
    said = explanation(decision, "demand", None, NO_BARS)
    # Without all features no model was asked; that reason stands already, and is the better one.
    if set(NAMES) <= decision.features.keys():
        said = msgspec.structs.replace(said, detail=why_no_model)
    return said
