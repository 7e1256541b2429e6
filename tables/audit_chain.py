"""The chain of one partition: records become linked rows, and every minute of them gets a head.

Time is Kafka's time of the records, the latest one so far. What was sealed is not read again; what
came after the last head is, and is compared with the rows that are there.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiokafka import ConsumerRecord

from models.forensics import merkle
from models.forensics.chain import GENESIS
from streams.audit import NO_HEAD, AuditHead
from streams.errors import RecordError
from tables.archive import RunKey
from tables.audit_rows import AuditRow, linked

# A tree of more leaves is sealed before its minute is over, so that memory has a bound.
LEAVES_MAX = 65_536

_MS_PER_MINUTE = 60_000
_DIFFERS = "ROW_DIFFERS"

Sign = Callable[[AuditHead], AuditHead]


class Kept(NamedTuple):
    """Place and link of a row that is in SQL."""

    seq: int
    chain: bytes


class Tip(NamedTuple):
    """How far a partition has come in SQL: its last head, and the rows behind it by offset."""

    head: AuditHead | None = None
    rows: Mapping[int, Kept] = {}

    @property
    def next_offset(self) -> int:
        """Where reading must begin, so that the next head covers all behind the last one."""
        return 0 if self.head is None else self.head.last_offset + 1


class Taken(NamedTuple):
    """What a record gave.

    Attributes
    ----------
    row : AuditRow or None
        To be written; None if it is there.
    head : AuditHead or None
        Of the rows before it, if their minute is over.
    error : RecordError or None
        Why the record is no decision, or that SQL has another row in its place. It is kept all the
        same.
    """

    row: AuditRow | None
    head: AuditHead | None
    error: RecordError | None


class AuditChain:
    """The chain of one partition.

    Parameters
    ----------
    of, partition
        Whose it is, and where.
    tip
        Where it ends in SQL.
    sign
        Adds key and signature to a head.
    """

    def __init__(self, of: RunKey, partition: int, tip: Tip, sign: Sign) -> None:
        head = tip.head
        self._of = of
        self._partition = partition
        self._sign = sign
        # The next one is at the end, from where it is taken: a minute can have 65,536 of them.
        behind = ((at, kept) for at, kept in tip.rows.items() if at >= tip.next_offset)
        self._kept = sorted(behind, reverse=True)
        self._seq = -1 if head is None else head.last_seq
        self._offset = -1 if head is None else head.last_offset
        self._chain = GENESIS if head is None else bytes.fromhex(head.chain)
        self._sealed_ms = -1 if head is None else head.sealed_ms
        self._next_head = 0 if head is None else head.number + 1
        self._previous = NO_HEAD if head is None else head.digest()
        self._leaves: list[bytes] = []

    def take(self, record: ConsumerRecord) -> Taken | None:
        """Link the next record; None if it is sealed already."""
        if record.offset <= self._offset:
            return None
        self._pass_over(record.offset)
        minute = self._sealed_ms // _MS_PER_MINUTE
        is_later = record.timestamp // _MS_PER_MINUTE > minute
        head = self.seal() if is_later or len(self._leaves) >= LEAVES_MAX else None
        row, leaf, error = linked(self._of, record, self._seq + 1, self._chain)
        is_there = bool(self._kept) and self._kept[-1][0] == record.offset
        kept = self._kept.pop()[1] if is_there else None
        if kept is not None and kept != Kept(row.seq, row.chain):
            error = RecordError(
                _DIFFERS,
                f"SQL has another row at partition {record.partition}, offset {record.offset}: "
                f"link {kept.chain.hex()[:16]}, expected {row.chain.hex()[:16]}",
            )
        self._seq, self._offset, self._chain = row.seq, record.offset, row.chain
        self._sealed_ms = max(self._sealed_ms, record.timestamp)
        self._leaves.append(leaf)
        return Taken(row if kept is None else None, head, error)

    def seal(self) -> AuditHead | None:
        """Return the signed head of the rows behind the last one; None if there are none."""
        if not self._leaves:
            return None
        head = self._sign(
            AuditHead(
                chain=self._chain.hex(),
                first_seq=self._seq - len(self._leaves) + 1,
                key_id="",
                last_offset=self._offset,
                last_seq=self._seq,
                number=self._next_head,
                partition=self._partition,
                previous=self._previous,
                root=merkle.root(self._leaves).hex(),
                run=self._of.run,
                sealed_ms=self._sealed_ms,
                stack=self._of.stack,
            )
        )
        self._leaves = []
        self._next_head, self._previous = head.number + 1, head.digest()
        return head

    def _pass_over(self, offset: int) -> None:
        """Go past rows that the broker has no more: they are in SQL, and no tree will hold them.

        The next head still vouches for them, because its link follows from theirs.
        """
        while self._kept and self._kept[-1][0] < offset:
            at, kept = self._kept.pop()
            self._seq, self._offset, self._chain = kept.seq, at, kept.chain
            self._leaves = []
