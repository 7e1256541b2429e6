"""What the owner of a database can do to an audit trail, by SQL; he has no key.

Each deed changes rows at a drawn place and returns where a verifier must point at: the first row
that is not what it was, and the last one that may be named for it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from models.forensics.chain import GENESIS, link
from tables.audit_rows import AuditRow, leaf_of

Rows = list[AuditRow]

# Of the trails that `tests.trails` makes.
ROWS_A_HEAD = 10

# Of other decisions: a value is swapped for one that could have been.
_OTHER = {
    "value": lambda row: (row.value or b"").replace(b'"quantity":120', b'"quantity":121'),
    "headers": lambda _: '[["origin-ns","MA=="]]',
    "record_key": lambda _: b"other",
    "chain": lambda row: bytes(byte ^ 1 for byte in row.chain),
    "action": lambda _: "SELL",
    "quantity": lambda row: (row.quantity or 0) + 1,
    "approved": lambda row: not row.approved,
    "decision_id": lambda _: UUID(int=7),
    "symbol": lambda _: "XOM",
}


class Done(NamedTuple):
    """Where a deed must be found."""

    first_seq: int
    last_seq: int


def edit(rows: Rows, draw: Random) -> Done:
    """Change one column of one row; the link of the next row tells as well if it is a link."""
    at = draw.randrange(len(rows))
    column = draw.choice(sorted(_OTHER))
    rows[at] = rows[at]._replace(**{column: _OTHER[column](rows[at])})
    return Done(rows[at].seq, rows[at].seq)


def delete(rows: Rows, draw: Random) -> Done:
    """Take some rows out of the middle."""
    n_rows = draw.randint(1, 5)
    at = draw.randrange(len(rows) - n_rows - 1)
    gone = rows[at : at + n_rows]
    del rows[at : at + n_rows]
    return Done(gone[0].seq, gone[-1].seq)


def insert(rows: Rows, draw: Random) -> Done:
    """Put a row of the attacker's between two others, at an offset that Kafka has twice then."""
    at = draw.randrange(1, len(rows))
    forged = rows[at]._replace(value=rows[at - 1].value)
    rows[at:] = [forged, *(row._replace(log_offset=row.log_offset + 1) for row in rows[at:])]
    return Done(forged.seq, forged.seq)


def reorder(rows: Rows, draw: Random) -> Done:
    """Let two rows change places, with or without their numbers."""
    first, second = sorted(draw.sample(range(len(rows)), 2))
    keeps_numbers = draw.random() < 0.5
    one, other = rows[first], rows[second]
    rows[first] = other._replace(log_offset=one.log_offset)
    rows[second] = one._replace(log_offset=other.log_offset)
    if not keeps_numbers:
        rows[first] = rows[first]._replace(seq=one.seq)
        rows[second] = rows[second]._replace(seq=other.seq)
    return Done(one.seq, other.seq)


def truncate(rows: Rows, draw: Random) -> Done:
    """Cut the end off."""
    n_rows = draw.randint(1, len(rows) - 1)
    gone = rows[-n_rows:]
    del rows[-n_rows:]
    return Done(gone[0].seq, gone[-1].seq)


def rewrite(rows: Rows, draw: Random) -> Done:
    """Change a row, or take it out, and compute all numbers and links behind it anew."""
    at = draw.randrange(len(rows) - 1)
    if draw.random() < 0.5:
        value = (rows[at].value or b"").replace(b'"approved":true', b'"approved":false')
        rows[at] = rows[at]._replace(value=value, approved=False)
    else:
        del rows[at]
    before = GENESIS if at == 0 else rows[at - 1].chain
    for place in range(at, len(rows)):
        row = rows[place]._replace(seq=place)
        before = link(before, leaf_of(row))
        rows[place] = row._replace(chain=before)
    return Done(at, at)


DEEDS: dict[str, Callable[[Rows, Random], Done]] = {
    "edit": edit,
    "delete": delete,
    "insert": insert,
    "reorder": reorder,
    "truncate": truncate,
    "rewrite_all": rewrite,
}


def is_located(done: Done, faults: list[Any]) -> bool:
    """Tell whether a fault names rows of the deed, and none names rows of an earlier head.

    A head vouches for a minute of rows; a row that was rewritten with its links is known to be one
    of these.
    """
    meets = any(f.first_seq <= done.last_seq and done.first_seq <= f.last_seq for f in faults)
    begins = done.first_seq // ROWS_A_HEAD * ROWS_A_HEAD
    return meets and all(fault.first_seq >= begins for fault in faults)
