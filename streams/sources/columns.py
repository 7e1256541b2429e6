"""Columns of a table file become numbers, texts and times; what is not one is named by its row."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import RecordError, TapeError
from streams.slices import FloatArray, IntArray
from streams.timestamps import LATEST_NS, parse_ns

_TIME = "an RFC 3339 time with its zone, such as 2026-01-02T03:04:05Z, or integer nanoseconds"
_UTC_NS = pa.timestamp("ns", "UTC")


class Column(NamedTuple):
    """A column of one batch, and where it stands: the file, its name, the number of its row 0."""

    file: str
    name: str
    first_row: int
    cells: pa.Array

    def fault(self, at: int, expected: str) -> TapeError:
        """Return the error that names a cell."""
        value = self.cells[at].as_py()
        found = "empty" if value is None else repr(value)
        return TapeError(
            f"{self.file}: {self.name} of row {self.first_row + at} was {found}; "
            f"expected {expected}"
        )


def numbers(column: Column) -> FloatArray:
    """Return float64 values; NaN where a cell is empty, NaN or infinite.

    Raises
    ------
    TapeError
        If a cell is no number.
    """
    cells = column.cells
    if pa.types.is_string(cells.type):
        cells = _cast(column, pa.float64(), "a number")
    cast = cells.cast(pa.float64(), safe=False)
    values = np.array(cast.to_numpy(zero_copy_only=False), np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def integers(column: Column) -> pa.Array:
    """Return int64 cells, null where a cell is empty.

    Raises
    ------
    TapeError
        If a cell is no integer of 64 bits.
    """
    return _cast(column, pa.int64(), "an integer")


def texts(column: Column) -> pa.Array:
    """Return text cells, null where a cell is empty."""
    return column.cells.cast(pa.string())


def full_texts(column: Column) -> pa.Array:
    """Return text cells of a column that names things.

    Raises
    ------
    TapeError
        If a cell is empty.
    """
    cells = texts(column)
    empty = pc.fill_null(pc.equal(cells, ""), True)  # noqa: FBT003  the fill value of Arrow's call
    _refuse_any(column._replace(cells=cells), empty, "a name")
    return cells


def times_ns(column: Column) -> IntArray:
    """Return nanoseconds since the epoch.

    Raises
    ------
    TapeError
        If a cell is empty, has no zone, is no time, or lies outside 1970..2200.
    """
    _refuse_any(column, column.cells.is_null(), _TIME)
    if column.name.endswith("_ns"):
        cells = _cast(column, pa.int64(), "integer nanoseconds")
    elif pa.types.is_string(column.cells.type):
        cells = _text_times(column)
    else:
        zone = getattr(column.cells.type, "tz", None)
        cells = _cast(column, pa.timestamp("ns", zone), _TIME)
    values = np.asarray(cells.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    outside = (values <= 0) | (values >= LATEST_NS)
    _refuse_any(column, pa.array(outside), "a time in 1970..2200, in nanoseconds if an integer")
    return values


def _text_times(column: Column) -> pa.Array:
    for kind in (pa.int64(), _UTC_NS):
        try:
            return column.cells.cast(kind)
        except pa.ArrowInvalid:
            continue
    # A file that mixes both forms, or a cell that is neither: one by one, to find its row.
    values = []
    for at, text in enumerate(column.cells.to_pylist()):
        try:
            values.append(parse_ns(int(text) if text.isdigit() else text))
        except RecordError as error:
            raise column.fault(at, _TIME) from error
    return pa.array(values, pa.int64())


def _cast(column: Column, kind: pa.DataType, expected: str) -> pa.Array:
    try:
        return column.cells.cast(kind)
    except pa.ArrowInvalid:
        raise column.fault(_first_refused(column.cells, kind), expected) from None


def _first_refused(cells: pa.Array, kind: pa.DataType) -> int:
    """Return the first cell that cannot be cast, by halving; one at least is known to be there."""
    start, n = 0, len(cells)
    while n > 1:
        half = n // 2
        try:
            cells.slice(start, half).cast(kind)
        except pa.ArrowInvalid:
            n = half
        else:
            start, n = start + half, n - half
    return start


def _refuse_any(column: Column, refused: pa.Array, expected: str) -> None:
    at = pc.index(refused, True).as_py()
    if at >= 0:
        raise column.fault(at, expected)
