"""The rows of a market data file, batch by batch: when each was known, of what, and its values."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streams.errors import TapeError
from streams.slices import FloatArray, IntArray
from streams.sources.batches import Batch, TableFile
from streams.sources.columns import Column, full_texts, integers, numbers, texts, times_ns
from streams.sources.layouts import SEQ, TEXTS, Layout
from streams.timestamps import TIMEFRAMES_NS, format_ns

# A predecessor that does not exist; no time and no sequence number is as small.
NONE = np.iinfo(np.int64).min


class Names(NamedTuple):
    """One name per row, as positions in the distinct ones."""

    distinct: list[str]
    codes: IntArray

    def by_row(self) -> list[str]:
        """Return the name of each row."""
        return list(map(self.distinct.__getitem__, self.codes.tolist()))


class Rows(NamedTuple):
    """Rows of one batch.

    Attributes
    ----------
    first_row
        1-based number of the first row in the file.
    known_ns
        When each event was known: its own time, or the close of its bar as the file has it.
    close_ns
        The close of the bar that the event belongs to, on the grid of the timeframe.
    symbols, venues
        As the file has them; ``venues`` is None where it names none.
    numbers
        Prices and sizes by name, NaN where a cell is missing.
    others
        ``side``, ``trade_id`` and ``seq`` where the layout has them, null where a cell is missing.
    """

    first_row: int
    known_ns: IntArray
    close_ns: IntArray
    symbols: pa.Array
    venues: pa.Array | None
    numbers: dict[str, FloatArray]
    others: dict[str, pa.Array]

    def names(self, *, with_venue: bool) -> Names:
        """Return the ids of the wire: the symbols, or symbol and venue joined by a dot."""
        ids = self.symbols
        if with_venue and self.venues is not None:
            ids = pc.binary_join_element_wise(self.symbols, self.venues, ".")
        encoded = ids.dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return Names(encoded.dictionary.to_pylist(), codes)


def rows_of(file: TableFile, layout: Layout, timeframe: str) -> Iterator[Rows]:
    """Yield the rows of a file, checked: times in order, every cell of its column's type.

    Raises
    ------
    TapeError
        With the file, the column, the 1-based row and the value.
    """
    timeframe_ns = TIMEFRAMES_NS[timeframe]
    before_ns = 0
    for batch in file.batches(layout.columns()):
        known_ns = _known_ns(file, layout, batch, timeframe_ns)
        _check_order(file, layout, batch.first_row, np.insert(known_ns, 0, before_ns))
        if len(known_ns):
            before_ns = int(known_ns[-1])
            close_ns = grid_close_ns(layout, known_ns, timeframe_ns)
            yield _rows(file, layout, batch, known_ns, close_ns)


def grid_close_ns(layout: Layout, known_ns: IntArray, timeframe_ns: int) -> IntArray:
    """Return the close that each event belongs to.

    A tick belongs to the bar ``[close - timeframe, close)``. A bar belongs to its own close, or to
    the next point of the grid: earlier it was not known.
    """
    if layout.kind.type == "bar":
        return -(-known_ns // timeframe_ns) * timeframe_ns
    return (known_ns // timeframe_ns + 1) * timeframe_ns


def previous(names: Names, values: IntArray, last: dict[str, int]) -> IntArray:
    """Return for each row the value of the row before it with the same name, else ``NONE``.

    ``last`` carries the last value of each name from batch to batch and is updated.
    """
    order = np.argsort(names.codes, kind="stable")
    codes, before = names.codes[order], np.full(len(values), NONE)
    is_first = np.append(True, codes[1:] != codes[:-1])
    before[order[1:]] = values[order[:-1]]
    for first in order[is_first].tolist():
        before[first] = last.get(names.distinct[names.codes[first]], NONE)
    for row in order[np.append(is_first[1:], True)].tolist():
        last[names.distinct[names.codes[row]]] = int(values[row])
    return before


def column_of(file: TableFile, batch: Batch, name: str) -> Column:
    """Return a column of a batch; dictionaries and large texts become plain text."""
    cells = batch.columns[name]
    if pa.types.is_dictionary(cells.type) or pa.types.is_large_string(cells.type):
        cells = cells.cast(pa.string())
    return Column(str(file.path), name, batch.first_row, cells)


def _known_ns(file: TableFile, layout: Layout, batch: Batch, timeframe_ns: int) -> IntArray:
    if layout.close_time is not None:
        return times_ns(column_of(file, batch, layout.close_time))
    times = times_ns(column_of(file, batch, str(layout.event_time)))
    return times + timeframe_ns if layout.kind.type == "bar" else times


def _check_order(file: TableFile, layout: Layout, first_row: int, known_ns: IntArray) -> None:
    back = np.flatnonzero(known_ns[1:] < known_ns[:-1])
    if len(back):
        at = int(back[0])
        raise TapeError(
            f"{file.path}: {layout.close_time or layout.event_time} of row {first_row + at} "
            f"({format_ns(int(known_ns[at + 1]))}) is before that of row {first_row + at - 1} "
            f"({format_ns(int(known_ns[at]))}); expected rows in the order of their times"
        )


def _rows(
    file: TableFile, layout: Layout, batch: Batch, known_ns: IntArray, close_ns: IntArray
) -> Rows:
    columns = {name: column_of(file, batch, name) for name in batch.columns}
    values = {name: numbers(columns[name]) for name in layout.values if name not in (*TEXTS, SEQ)}
    others = {name: texts(columns[name]) for name in TEXTS if name in layout.values}
    if SEQ in layout.values:
        others[SEQ] = integers(columns[SEQ])
    venues = full_texts(columns["venue"]) if layout.has_venue else None
    symbols = full_texts(columns["symbol"])
    return Rows(batch.first_row, known_ns, close_ns, symbols, venues, values, others)
