"""Rows of the audit trail: what Kafka gave, where it stands in its chain, and what to find it by.

A row is a function of the log up to its record, so two who write the same partition write the same
rows.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from aiokafka import ConsumerRecord

from models.forensics.chain import link
from models.forensics.merkle import leaf_hash
from streams.audit import Sealed, as_text, texts
from streams.errors import RecordError
from streams.records import read_json
from tables.archive import RunKey, TableSpec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = msgspec.json.Encoder()
_NUL = "\x00"


class Found(msgspec.Struct, frozen=True):
    """What of a decision it is found by; the other fields are in its bytes."""

    decision_id: UUID
    portfolio: str
    symbol: str
    timeframe: str
    timestamp: datetime
    action: Literal["BUY", "SELL", "HOLD"]
    quantity: float
    approved: bool


_FOUND = msgspec.json.Decoder(Found)


class AuditRow(NamedTuple):
    """One row, in the order of the columns of ``tradewind.audit_records``.

    Attributes
    ----------
    stack, run : str
    log_partition, log_offset : int
        Where Kafka has it.
    seq : int
        Its place in the chain of its partition, from 0.
    logged_at : datetime
        Kafka's time of the record, UTC.
    record_key : bytes or None
    headers : str
        JSON: pairs of name and base64.
    value : bytes or None
        As it came.
    chain : bytes
        SHA-256, the link after this row.
    decision_id, portfolio, symbol, timeframe, bar_close, action, quantity, approved
        From the value; None if it is no decision.
    """

    stack: str
    run: str
    log_partition: int
    log_offset: int
    seq: int
    logged_at: datetime
    record_key: bytes | None
    headers: str
    value: bytes | None
    chain: bytes
    decision_id: UUID | None = None
    portfolio: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    bar_close: datetime | None = None
    action: str | None = None
    quantity: float | None = None
    approved: bool | None = None


COLUMNS = AuditRow._fields
AUDIT_RECORDS = TableSpec("audit_records", COLUMNS[:4], COLUMNS[4:], by_time=False)


def sealed_of(of: RunKey, record: ConsumerRecord, seq: int) -> Sealed:
    """Return what is sealed of a record."""
    value = record.value
    return Sealed(
        headers=texts(record.headers),
        key=None if record.key is None else as_text(record.key),
        offset=record.offset,
        partition=record.partition,
        run=of.run,
        seq=seq,
        stack=of.stack,
        timestamp_ms=record.timestamp,
        value_sha256=None if value is None else hashlib.sha256(value).hexdigest(),
    )


class Hashed(NamedTuple):
    """What a proof needs of a row: the hash of its value stands for the value."""

    log_offset: int
    seq: int
    logged_at: datetime
    record_key: bytes | None
    headers: str
    value_sha256: bytes | None


def leaf_of(row: AuditRow) -> bytes:
    """Return the leaf of a row as it stands in SQL."""
    return leaf_hash(sealed_row(row).canonical())


def leaf_of_hashed(of: RunKey, partition: int, row: Hashed) -> bytes:
    """Return the leaf of a row whose value nobody fetched."""
    return leaf_hash(_sealed(of, partition, row).canonical())


def sealed_row(row: AuditRow) -> Sealed:
    """Return what is sealed of a row."""
    value_sha256 = None if row.value is None else hashlib.sha256(row.value).digest()
    place = (row.log_offset, row.seq, row.logged_at)
    hashed = Hashed(*place, row.record_key, row.headers, value_sha256)
    return _sealed(RunKey(row.stack, row.run), row.log_partition, hashed)


def _sealed(of: RunKey, partition: int, row: Hashed) -> Sealed:
    return Sealed(
        headers=msgspec.json.decode(row.headers, type=list[tuple[str, str]]),
        key=None if row.record_key is None else as_text(row.record_key),
        offset=row.log_offset,
        partition=partition,
        run=of.run,
        seq=row.seq,
        stack=of.stack,
        timestamp_ms=ms_of(row.logged_at),
        value_sha256=None if row.value_sha256 is None else row.value_sha256.hex(),
    )


def ms_of(at: datetime) -> int:
    """Return a time as Kafka has it."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def at_ms(timestamp_ms: int) -> datetime:
    """Return Kafka's time as SQL has it.

    Examples
    --------
    >>> ms_of(at_ms(1_767_387_600_123))
    1767387600123
    """
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


class Link(NamedTuple):
    """A row with its leaf, and why it is no decision where it is none."""

    row: AuditRow
    leaf: bytes
    error: RecordError | None


def linked(of: RunKey, record: ConsumerRecord, seq: int, before: bytes) -> Link:
    """Return the row of a record.

    Parameters
    ----------
    of
        Whose row it is.
    record
        As Kafka gave it.
    seq, before
        Its place in the chain, and the link before it.
    """
    sealed = sealed_of(of, record, seq)
    leaf = leaf_hash(sealed.canonical())
    found, error = _found(record.value or b"")
    row = AuditRow(
        *of,
        record.partition,
        record.offset,
        seq,
        at_ms(record.timestamp),
        record.key,
        _JSON.encode(sealed.headers).decode(),
        record.value,
        link(before, leaf),
        *found,
    )
    return Link(row, leaf, error)


_NOTHING: tuple[Any, ...] = (None,) * (len(COLUMNS) - COLUMNS.index("decision_id"))


def _found(value: bytes) -> tuple[tuple[Any, ...], RecordError | None]:
    try:
        found = read_json(_FOUND, value)
    except RecordError as error:
        return _NOTHING, error
    # Of all text in JSON, PostgreSQL has no room for this character alone.
    if any(_NUL in text for text in (found.portfolio, found.symbol, found.timeframe)):
        return _NOTHING, RecordError("BAD_TEXT", "a name has the character NUL; expected none")
    if found.timestamp.tzinfo is None:
        return _NOTHING, RecordError("BAD_TIMESTAMP", "timestamp has no zone; expected UTC")
    return msgspec.structs.astuple(found), None
