"""Rows of the audit trail: nothing of a record is lost, and what is no decision is a row too."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forensics.chain import GENESIS, link
from streams.audit import header_bytes
from tables.audit_rows import AuditRow, at_ms, leaf_of, linked, ms_of, sealed_row
from tests.trails import HEADERS, OF, record
from tests.unit.tables.views.played import WRITTEN_MS, decision, decision_id


def test_linked_when_it_is_a_decision_then_the_row_has_all_of_it() -> None:
    """Place, time, key, headers and bytes as they came, and what it is found by."""
    value = msgspec.json.encode(decision(5, symbol="KO", action="SELL", quantity=7))
    made = linked(OF, record(3, value), 2, GENESIS)
    row = made.row
    assert row[:6] == (*OF, 0, 3, 2, datetime(2026, 1, 2, 21, 0, 18, tzinfo=UTC))
    assert (row.record_key, row.value) == (b"main", value)
    assert header_bytes(msgspec.json.decode(row.headers, type=list[tuple[str, str]])) == HEADERS
    assert row[10:] == (
        UUID(decision_id(5)),
        "main",
        "KO",
        "1day",
        datetime(2026, 1, 2, 21, tzinfo=UTC),
        "SELL",
        7.0,
        True,
    )
    assert made.error is None
    assert made.leaf == leaf_of(row)
    assert row.chain == link(GENESIS, made.leaf)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"poison", "NOT_JSON"),
        (b"{}", "WRONG_TYPE"),
        (b"\xff\xfe", "NOT_JSON"),
        (msgspec.json.encode(decision(1, symbol="A\x00")), "BAD_TEXT"),
        (msgspec.json.encode(decision(1, timestamp="2026-01-02T21:00:00")), "BAD_TIMESTAMP"),
        (msgspec.json.encode(decision(1)).replace(b"00000000-0000", b"no-id"), "WRONG_TYPE"),
    ],
)
def test_linked_when_it_is_no_decision_then_its_bytes_are_kept_and_told(
    value: bytes, reason: str
) -> None:
    """An audit trail of the topic has what was on the topic."""
    made = linked(OF, record(0, value), 0, GENESIS)
    assert made.error is not None
    assert made.error.reason == reason
    assert made.row.value == value
    assert made.row[10:] == (None,) * 8


def test_linked_when_key_and_value_are_absent_then_differs_from_empty_ones() -> None:
    """Nothing and an empty text are two things to whoever hashes."""
    absent = linked(OF, record(0, key=None, value=b""), 0, GENESIS)
    nothing = record(0, key=None)
    nothing.value = None
    none = linked(OF, nothing, 0, GENESIS)
    empty = linked(OF, record(0, key=b"", value=b""), 0, GENESIS)
    assert len({each.leaf for each in (absent, none, empty)}) == 3
    assert leaf_of(none.row) == none.leaf


@pytest.mark.parametrize("field", AuditRow._fields[:9])
def test_leaf_when_any_sealed_column_differs_then_differs(field: str) -> None:
    """Whose row, where, when, key, headers and bytes: all are sealed."""
    row = linked(OF, record(3), 2, GENESIS).row
    other = {
        "logged_at": at_ms(WRITTEN_MS),
        "record_key": None,
        "headers": "[]",
        "value": b"other",
        "stack": "other",
        "run": "other",
    }
    changed = row._replace(**{field: other.get(field, 77)})
    assert leaf_of(changed) != leaf_of(row)
    assert sealed_row(changed) != sealed_row(row)


@given(st.integers(0, 4_102_444_800_000))
def test_times_when_made_and_read_then_are_exact(timestamp_ms: int) -> None:
    """A millisecond that is lost would break every seal."""
    assert ms_of(at_ms(timestamp_ms)) == timestamp_ms
