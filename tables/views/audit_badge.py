"""Whether the audit trail vouches for a decision: what was checked, and what came out."""

from pathlib import Path
from typing import Literal, NamedTuple

from streams.clock import wall_ns
from tables.audit_rows import AuditRow, ms_of
from tables.stores.audit_key import is_signed, public_key
from tables.stores.errors import StoreConflict
from tables.stores.head_trees import Proof

State = Literal["verified", "not verified", "no head yet", "pending", "not checked"]

_HEX_SHOWN = 16
# A head is signed when its minute is over, or its topic has been silent for one.
_LATE_MS = 120_000
_MS_PER_MINUTE = 60_000


class Badge(NamedTuple):
    """What a page says of the trail; ``detail`` says what was checked, or why it was not."""

    state: State
    detail: str


def badge_of(row: AuditRow, value: bytes | None, proof: Proof | None, home: Path) -> Badge:
    """Return what the trail says of a decision.

    Parameters
    ----------
    row, proof
        What SQL has of it; no proof as long as no signed head covers the row.
    value
        The record's bytes on Kafka.
    home
        The stack's folder, where its public key is.
    """
    place = f"row {row.seq} of partition {row.log_partition}"
    if row.value != value:
        return Badge("not verified", f"{place} has other bytes than Kafka")
    if proof is None:
        return Badge("no head yet", f"{place} is chained, so nothing is proved of it; {_why(row)}")
    head = proof.head
    try:
        fault = _fault(row, proof, public_key(home))
    except StoreConflict as error:
        return Badge("not checked", str(error))
    if fault:
        return Badge("not verified", f"{place}: {fault}")
    key = head.key_id[:_HEX_SHOWN]
    return Badge(
        "verified",
        f"{place} has the bytes of Kafka and is under the root of head {head.number}, which key "
        f"{key} signed",
    )


def _why(row: AuditRow) -> str:
    """Say why a row has no head: its minute is not over, or somebody should look."""
    age_ms = wall_ns() // 1_000_000 - ms_of(row.logged_at)
    if age_ms < _LATE_MS:
        return "a head is signed about once a minute, reload"
    return (
        f"it is {age_ms // _MS_PER_MINUTE:,} minutes old, and a head comes within two: does the "
        "role forensics run, or was the head taken away? `tradewind audit verify` says more"
    )


def _fault(row: AuditRow, proof: Proof, public_pem: bytes) -> str:
    head = proof.head
    if not proof.holds:
        return f"it does not lead to the root of head {head.number}: rows were changed"
    if (head.stack, head.run, head.partition) != (row.stack, row.run, row.log_partition):
        return f"head {head.number} is of another trail"
    if not is_signed(head, public_pem):
        return f"head {head.number} is not signed by the key of this stack"
    return ""
