"""Whether the audit trail vouches for a decision: what was checked, and what came out."""

from pathlib import Path
from typing import Literal, NamedTuple

from tables.audit_rows import AuditRow
from tables.stores.audit_key import is_signed, public_key
from tables.stores.audit_reader import Proof
from tables.stores.errors import StoreConflict

State = Literal["verified", "not verified", "pending", "not checked"]

_HEX_SHOWN = 16


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
        return Badge("pending", f"{place} is chained; a head is signed about once a minute")
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


def _fault(row: AuditRow, proof: Proof, public_pem: bytes) -> str:
    head = proof.head
    if not proof.holds:
        return f"it does not lead to the root of head {head.number}: rows were changed"
    if (head.stack, head.run, head.partition) != (row.stack, row.run, row.log_partition):
        return f"head {head.number} is of another trail"
    if not is_signed(head, public_pem):
        return f"head {head.number} is not signed by the key of this stack"
    return ""
