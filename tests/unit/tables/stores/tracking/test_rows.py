"""Rows that mean the same in two databases."""

import hashlib
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.stores.tracking.rows import Checksum, Column, Kind, Table, batches

ROWS = st.lists(
    st.tuples(st.text(max_size=3) | st.none(), st.floats(allow_nan=False), st.booleans()),
    max_size=8,
)


def of(kind: Kind, value: Any, limit: int | None = None) -> tuple[Any, str]:  # noqa: ANN401  any value of a database
    """Give what a value becomes in a column, and why PostgreSQL would not take it."""
    table = Table("t", (Column("c", kind, limit),))
    row = table.canonical((value,))
    return row[0], table.why_not(row)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("boolean", True, True),
        ("float", 3, 3.0),
        ("float", -0.0, 0.0),
        ("integer", 2**62, 2**62),
        ("bytes", memoryview(b"ab"), b"ab"),
        ("text", "é", "é"),
        ("json", None, None),
    ],
)
def test_canonical_when_a_database_says_it_its_way_then_is_the_column_s_type(
    kind: Kind, value: object, expected: object
) -> None:
    """Both databases give equal values of one type for what MLflow wrote once."""
    found, why = of(kind, value)
    assert (found, type(found), why) == (expected, type(expected), "")
    if isinstance(found, float):
        assert math.copysign(1.0, found) == 1.0


@pytest.mark.parametrize(
    ("kind", "limit", "value", "said"),
    [
        ("boolean", None, 2, "expected bool"),
        ("integer", 32, 2**31, "32 bits"),
        ("integer", 32, -(2**31) - 1, "32 bits"),
        ("integer", 64, 1.5, "expected int"),
        ("float", None, "1", "expected float"),
        ("text", 3, "abcd", "4 characters; expected at most 3"),
        ("text", None, "a\x00", "NUL"),
        ("text", None, b"a", "expected str"),
        ("json", None, "{", "not JSON"),
        ("json", None, "[NaN]", "not JSON"),
    ],
)
def test_why_not_when_postgresql_would_refuse_then_names_column_and_value(
    kind: Kind, limit: int | None, value: object, said: str
) -> None:
    """What SQLite lets through is found before anything is written."""
    _, why = of(kind, value, limit)
    assert why.startswith("column c of t: ")
    assert said in why


@pytest.mark.parametrize(
    ("kind", "limit", "value"),
    [
        ("integer", 32, -(2**31)),
        ("integer", 32, 2**31 - 1),
        ("text", 3, "利益🚀"),
        ("json", None, "{}"),
    ],
)
def test_why_not_when_at_the_limit_then_takes_it(kind: Kind, limit: int, value: object) -> None:
    """Limits are characters and two's complement."""
    assert of(kind, value, limit)[1] == ""


@given(rows=ROWS, data=st.data())
def test_checksum_when_rows_come_in_another_order_then_is_the_same(
    rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    """Two databases sort text differently; a row that comes twice counts twice."""
    other = data.draw(st.permutations(rows))
    assert Checksum().add_all(rows).found == Checksum().add_all(other).found
    assert Checksum().add_all([*rows, *rows]).found.rows == 2 * len(rows)


@given(rows=ROWS.filter(bool), data=st.data())
def test_checksum_when_one_row_is_another_then_differs(
    rows: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    """A changed, a lost and a doubled row are all seen."""
    at = data.draw(st.integers(0, len(rows) - 1))
    before = Checksum().add_all(rows).found
    text, number, flag = rows[at]
    for instead in (
        [],
        [rows[at]] * 2,
        [(text, number, not flag)],
        [((text or "") + "x", number, flag)],
    ):
        assert Checksum().add_all([*rows[:at], *instead, *rows[at + 1 :]]).found != before


def test_checksum_when_computed_by_hand_then_is_the_sum_of_digests() -> None:
    """The definition: SHA-256 of each row's MessagePack, added modulo 2^256."""
    rows = [("a", 1), ("b", None)]
    digests = [hashlib.sha256(msgspec.msgpack.encode(row)).digest() for row in rows]
    total = sum(int.from_bytes(digest, "big") for digest in digests) % (1 << 256)
    assert Checksum().add_all(rows).found == (2, f"{total:064x}")


def test_batches_when_rows_do_not_fill_the_last_then_it_is_given_all_the_same() -> None:
    """No row is left behind, and none gives no batch."""
    assert list(batches(iter([]), 2)) == []
    assert [len(batch) for batch in batches(((n,) for n in range(5)), 2)] == [2, 2, 1]
