"""One slice's bars, and what a bar must be before any state may see it."""

from typing import NamedTuple

import numpy as np

from models.errors import NotFinite, ShapeError
from models.features.arithmetic import BoolArray, FloatArray, IntArray


class Bars(NamedTuple):
    """The bars of one slice, a column each: float64 of shape (n_rows,).

    Prices (open, high, low, close, vwap) are in the symbol's currency, positive, and
    low <= open, close <= high. Volume is in units of the symbol and may be 0; vwap of a bar without
    volume is the close or whatever price the tape gives. NaN is not allowed: a gap is no row.
    """

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    vwap: FloatArray


def check(rows: IntArray, bars: Bars, n_symbols: int) -> None:
    """Refuse rows and bars that cannot be, naming value and place; change nothing.

    Raises
    ------
    ShapeError
        `rows` is not a strictly increasing int64 vector within the state, or a column is not
        float64 of the same length.
    NotFinite
        A value is NaN or infinite, a price is not positive, a volume is negative, or high and low
        do not enclose open and close (logarithms and ranges of such a bar mean nothing).
    """
    _check_rows(rows, n_symbols)
    for name, column in zip(Bars._fields, bars, strict=True):
        if column.dtype != np.float64 or column.shape != rows.shape:
            raise ShapeError(
                f"bars.{name} was {column.dtype} {column.shape}, expected float64 {rows.shape}"
            )
    table = np.stack(bars)
    lowest = np.minimum(bars.open, bars.close)
    highest = np.maximum(bars.open, bars.close)
    _refuse(~np.isfinite(table), table, rows, "is not finite")
    _refuse(table < 0.0, table, rows, "is negative")
    positive = (table > 0.0) | (np.array(Bars._fields) == "volume")[:, None]
    _refuse(~positive, table, rows, "is a price of 0")
    _refuse((bars.high < highest)[None, :], table[1:2], rows, "is a high below open or close", 1)
    _refuse((bars.low > lowest)[None, :], table[2:3], rows, "is a low above open or close", 2)


def _check_rows(rows: IntArray, n_symbols: int) -> None:
    """Refuse row indices that are not strictly increasing within [0, n_symbols)."""
    if rows.dtype != np.int64 or rows.ndim != 1:
        raise ShapeError(f"rows was {rows.dtype} of {rows.ndim} axes, expected int64 of one axis")
    if rows.size == 0:
        return
    if (rows[1:] <= rows[:-1]).any():
        place = int(np.flatnonzero(rows[1:] <= rows[:-1])[0])
        raise ShapeError(
            f"rows must rise strictly: rows[{place + 1}] was {rows[place + 1]} after {rows[place]}"
        )
    if rows[0] < 0 or rows[-1] >= n_symbols:
        raise ShapeError(
            f"rows ran from {rows[0]} to {rows[-1]}, the state has {n_symbols} symbols"
        )


def _refuse(
    wrong: BoolArray, table: FloatArray, rows: IntArray, complaint: str, first_field: int = 0
) -> None:
    """Raise NotFinite for the first wrong value, if there is one."""
    if not wrong.any():
        return
    field, place = (int(axis[0]) for axis in np.nonzero(wrong))
    name = Bars._fields[first_field + field]
    raise NotFinite(
        f"bars.{name}[{place}] (symbol {rows[place]}) was {table[field, place]}, which {complaint}"
    )
