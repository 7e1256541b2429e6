"""What a file must be to be fitted on: a replay may lose a row to the dead letters, a fit may not.

A model of a market in which rows were quietly left out is a model of another market, so the first
such row is named and nothing is fitted.
"""

import math

import numpy as np

from streams.errors import TapeError
from streams.records import LARGEST_PRICE, LARGEST_SIZE, SMALLEST_PRICE
from streams.slices import BoolArray
from streams.sources.batches import TableFile
from streams.sources.layouts import Layout
from streams.sources.rows import Rows, previous, rows_of
from streams.sources.survey import close_only
from streams.timestamps import format_ns


def vet(file: TableFile, layout: Layout, timeframe: str) -> None:
    """Read a file whole, and refuse the first row that a replay would not use.

    Raises
    ------
    TapeError
        With the file, the column, the 1-based row, the value and what was expected.
    """
    last_close_ns: dict[str, int] = {}
    for rows in rows_of(file, layout, timeframe):
        is_bar = layout.kind.type == "bar"
        alone = close_only(rows) if is_bar else np.zeros(len(rows.known_ns), np.bool_)
        for name in layout.kind.needed:
            values = rows.numbers[name]
            wrong = ~((values >= SMALLEST_PRICE) & (values <= LARGEST_PRICE))
            if name != "close":
                wrong &= ~alone
            _refuse(file, rows, name, wrong, f"a price of {SMALLEST_PRICE:g} to {LARGEST_PRICE:g}")
        for name in rows.numbers.keys() - set(layout.kind.needed):
            values = rows.numbers[name]
            wrong = (values < 0.0) | (values > LARGEST_SIZE)
            _refuse(file, rows, name, wrong, f"0 to {LARGEST_SIZE:g}, or nothing")
        if is_bar:
            _check_bars(file, rows, alone, last_close_ns)


def _check_bars(
    file: TableFile, rows: Rows, alone: BoolArray, last_close_ns: dict[str, int]
) -> None:
    low, high = rows.numbers["low"], rows.numbers["high"]
    for name in ("open", "close"):
        values = rows.numbers[name]
        wrong = ~((low <= values) & (values <= high)) & ~alone
        _refuse(file, rows, name, wrong, "a value from low to high of its row")
    names = rows.names(with_venue=True)
    again = np.flatnonzero(previous(names, rows.known_ns, last_close_ns) == rows.known_ns)
    if len(again):
        at = int(again[0])
        raise TapeError(
            f"{file.path}: row {rows.first_row + at} is a second bar of "
            f"{names.distinct[names.codes[at]]} that closes at "
            f"{format_ns(int(rows.known_ns[at]))}; expected one"
        )


def _refuse(file: TableFile, rows: Rows, name: str, wrong: BoolArray, expected: str) -> None:
    found = np.flatnonzero(wrong)
    if len(found):
        at = int(found[0])
        value = float(rows.numbers[name][at])
        said = "empty or not finite" if math.isnan(value) else repr(value)
        raise TapeError(
            f"{file.path}: {name} of row {rows.first_row + at} was {said}; expected {expected}"
        )
