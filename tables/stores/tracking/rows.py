"""Rows of MLflow's tables as values that mean the same in SQLite and in PostgreSQL.

SQLite has no booleans, keeps a whole float as an integer, and takes text of any length into any
column. So every value is brought to the form of its column in PostgreSQL before it is compared.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["boolean", "integer", "float", "text", "json", "bytes"]
Row = tuple[Any, ...]

_SPACE = 1 << 256


class Column(NamedTuple):
    """One column, as PostgreSQL has it.

    ``limit`` is the most characters of a text or the bits of an integer; None for no limit.
    """

    name: str
    kind: Kind
    limit: int | None = None


class Table(NamedTuple):
    """One table: its columns in order of their names, without those that are computed."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def canonical(self, row: Sequence[Any]) -> Row:
        """Bring a row from either database to the form that both have in common."""
        return tuple(
            _canonical(value, column) for value, column in zip(row, self.columns, strict=True)
        )

    def why_not(self, row: Row) -> str:
        """Say why PostgreSQL would not take a canonical row; empty if it would."""
        for value, column in zip(row, self.columns, strict=True):
            if why := _why_not(value, column):
                return f"column {column.name} of {self.name}: {why}"
        return ""


class Found(NamedTuple):
    """How many rows a table has, and the checksum of all of them."""

    rows: int
    sha256: str


class Checksum:
    """The checksum of a set of rows, in whatever order they come.

    The SHA-256 of each row, added up modulo 2^256: two databases sort text by different rules, so
    no order of rows is common to both.

    Examples
    --------
    >>> rows = [("a", 1.0), ("b", None)]
    >>> Checksum().add_all(rows).found == Checksum().add_all(rows[::-1]).found
    True
    """

    def __init__(self) -> None:
        self._sum = 0
        self._rows = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def add(self, row: Row) -> None:
        """Add a canonical row."""
        digest = hashlib.sha256(self._encode(row)).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % _SPACE
        self._rows += 1

    def add_all(self, rows: Iterable[Row]) -> "Checksum":
        """Add canonical rows, and return the sum."""
        for row in rows:
            self.add(row)
        return self

    @property
    def found(self) -> Found:
        """What has been added."""
        return Found(self._rows, f"{self._sum:064x}")


def batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Give rows by the batch.

    Examples
    --------
    >>> list(batches(iter([(1,), (2,), (3,)]), 2))
    [[(1,), (2,)], [(3,)]]
    """
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _canonical(value: Any, column: Column) -> Any:  # noqa: ANN401  any value of a database
    if value is None:
        return None
    if column.kind == "boolean" and value in {0, 1}:
        return bool(value)
    if column.kind == "float" and isinstance(value, int | float):
        # SQLite forgets the sign of a zero.
        return float(value) + 0.0
    if column.kind == "bytes" and isinstance(value, memoryview):
        return bytes(value)
    return value


_TYPES: dict[Kind, type] = {
    "boolean": bool,
    "integer": int,
    "float": float,
    "text": str,
    "json": str,
    "bytes": bytes,
}


def _why_not(value: Any, column: Column) -> str:  # noqa: ANN401  any value of a database
    if value is None:
        return ""
    wanted = _TYPES[column.kind]
    # A boolean is an integer in Python.
    if type(value) is not wanted:
        return f"{value!r:.60} is {type(value).__name__}; expected {wanted.__name__}"
    if column.kind == "integer" and not _fits(value, column.limit):
        return f"{value} does not fit {column.limit} bits"
    return _why_no_text(value, column) if wanted is str else ""


def _why_no_text(value: Any, column: Column) -> str:  # noqa: ANN401  see above
    if "\x00" in value:
        return "a text holds the character NUL, which PostgreSQL has not"
    if column.limit is not None and len(value) > column.limit:
        return f"a text has {len(value)} characters; expected at most {column.limit}"
    return "" if column.kind == "text" else _why_no_json(value)


def _fits(value: Any, bits: int | None) -> bool:  # noqa: ANN401  see above
    return bits is None or -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def _why_no_json(value: str) -> str:
    # Python's own reader: it takes NaN as MLflow's writer writes it, and PostgreSQL does not.
    try:
        json.loads(value, parse_constant=_no_constant)
    except ValueError as error:
        return f"{value!r:.60} is not JSON: {error}"
    return ""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is none of its numbers")
