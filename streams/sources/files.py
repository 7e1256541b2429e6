"""Market data files as tapes: trades, quotes or bars, CSV or Parquet.

A file is read twice, in batches: once to find every fault before anything is sent, and again for
its ticks. Values are not judged here: crossed quotes and prices of zero are what came from a
market, and the bars stage answers for them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat
from pathlib import Path

import numpy as np
import pyarrow as pa

from streams.records import Tick
from streams.slices import FloatArray
from streams.sources.batches import TableFile, open_table
from streams.sources.layouts import SEQ, Layout, layout_of
from streams.sources.rows import Rows, rows_of
from streams.sources.survey import Survey, close_only, survey, timeframe_of
from streams.sources.tape import Interval
from streams.sources.vetting import vet

_FIELDS = Tick.__struct_fields__
_DEFAULTS = dict(zip(reversed(_FIELDS), reversed(Tick.__struct_defaults__), strict=False))


class FileTape:
    """A file that can be replayed; :func:`open_tape` makes it.

    Attributes
    ----------
    name
        File name, number of rows, and the notes.
    identity
        SHA-256 of the file.
    timeframe
        Length of a bar.
    symbols
        Ids on the wire, in symbol order: ``SYMBOL``, or ``SYMBOL.VENUE`` for several venues.
    notes
        What differs between the file and its replay, one sentence each.
    """

    def __init__(self, file: TableFile, layout: Layout, timeframe: str, found: Survey) -> None:
        self._file = file
        self._layout = layout
        self._found = found
        self.timeframe = timeframe
        self.symbols = found.symbols
        self.notes = found.notes
        what = f"{file.path.name}: {found.n_rows:,} {layout.kind.plural}"
        self.name = "; ".join((what, *found.notes))
        with file.path.open("rb") as content:
            self.identity = hashlib.file_digest(content, "sha256").hexdigest()

    def closes_ns(self) -> list[int]:
        """Return the close of every bar that has events, in time order."""
        closes: list[int] = self._found.closes_ns.tolist()
        return closes

    def vet(self) -> None:
        """Refuse a file of which a replay would leave out a row: no model shall be fitted on it.

        Raises
        ------
        TapeError
            With the column, the 1-based row, the value and what was expected.
        """
        vet(self._file, self._layout, self.timeframe)

    def intervals(self, first_close_ns: int, last_close_ns: int) -> Iterator[Interval]:
        """Yield the intervals whose close lies between the two, both included.

        The file is read from its start; of its ticks one batch is held at a time.
        """
        close_ns, ticks = 0, dict[str, list[Tick]]()
        for rows in rows_of(self._file, self._layout, self.timeframe):
            start = int(np.searchsorted(rows.close_ns, first_close_ns, "left"))
            stop = int(np.searchsorted(rows.close_ns, last_close_ns, "right"))
            for close, some in self._runs(rows, start, stop):
                if close != close_ns and ticks:
                    yield Interval(close_ns, ticks)
                    ticks = {}
                close_ns = close
                for tick in some:
                    ticks.setdefault(tick.symbol, []).append(tick)
            if stop < len(rows.close_ns):
                break
        if ticks:
            yield Interval(close_ns, ticks)

    def _runs(self, rows: Rows, start: int, stop: int) -> Iterator[tuple[int, list[Tick]]]:
        """Yield the ticks of rows start .. stop, cut where the close changes."""
        if start >= stop:
            return
        closes = rows.close_ns[start:stop]
        ticks = self._ticks(rows, slice(start, stop))
        cuts = [0, *(np.flatnonzero(np.diff(closes)) + 1).tolist(), len(ticks)]
        for first, end in pairwise(cuts):
            yield int(closes[first]), ticks[first:end]

    def _ticks(self, rows: Rows, part: slice) -> list[Tick]:
        """Return ticks made column by column: cell by cell would take ten times as long."""
        kind = self._layout.kind.type
        # A bar's event is its close: at its open nobody knew it.
        times = rows.close_ns if kind == "bar" else rows.known_ns
        columns: dict[str, Iterable[object]] = {
            "symbol": rows.names(with_venue=self._found.with_venue).by_row()[part],
            "ts_event": times[part].tolist(),
            "type": repeat(kind),
        }
        if rows.venues is not None:
            columns["venue"] = _objects(rows.venues[part])
        if kind == "bar":
            columns["timeframe"] = repeat(self.timeframe)
        for name, values in _prices(rows, kind).items():
            columns[name] = _optional(values[part])
        for name, cells in rows.others.items():
            # Some recorders restart seq with every capture file. Such a number would make two
            # different events duplicates, so it is no identity and stays at home.
            if name != SEQ or self._found.with_seq:
                columns[name] = _objects(cells[part])
        last = max(_FIELDS.index(name) for name in columns)
        cells_by_field = (
            columns.get(name, repeat(_DEFAULTS.get(name))) for name in _FIELDS[: last + 1]
        )
        return list(map(Tick, *cells_by_field))


def open_tape(path: Path, *, timeframe: str | None = None) -> FileTape:
    """Open a CSV (``.csv``, ``.csv.gz``) or Parquet file of trades, quotes or bars.

    Every row has ``symbol``, perhaps ``venue``, and a time: ``ts_event_ns`` (integer nanoseconds)
    or ``ts_event`` (RFC 3339 with its zone, or integer nanoseconds). The other columns say what it
    is: ``price`` trades (also ``size``, ``side``, ``trade_id``, ``seq``); ``bid``, ``ask`` quotes
    (also ``bid_size``, ``ask_size``, ``seq``); ``open``, ``high``, ``low``, ``close`` bars (also
    ``volume``). A bar's ``ts_event`` is its open; ``ts_close_ns`` or ``ts_close`` is when it was
    known, and only then is it replayed.

    Parameters
    ----------
    path
        The file; it is read whole once, in batches.
    timeframe
        Length of a bar. By default ``1s`` for ticks, and for bars what their times say; a daily bar
        closes at the midnight UTC after its session.

    Returns
    -------
    FileTape
        The tape. Cells that are empty, NaN or infinite are fields that its ticks do not have.

    Raises
    ------
    TapeError
        If the file cannot be replayed, with the column, the 1-based data row, the value and what
        was expected.
    """
    file = open_table(path)
    layout = layout_of(file)
    chosen = timeframe_of(file, layout, timeframe)
    return FileTape(file, layout, chosen, survey(file, layout, chosen))


def _prices(rows: Rows, kind: str) -> dict[str, FloatArray]:
    """Return the number columns; a bar with a close alone has that price four times."""
    if kind != "bar":
        return rows.numbers
    alone = close_only(rows)
    close = rows.numbers["close"]
    filled = {name: np.where(alone, close, rows.numbers[name]) for name in ("open", "high", "low")}
    return {**rows.numbers, **filled}


def _optional(values: FloatArray) -> list[object]:
    """Return floats, None for NaN: JSON has no NaN."""
    missing = np.isnan(values)
    if not missing.any():
        return list(values.tolist())
    cells = values.astype(object)
    cells[missing] = None
    return list(cells.tolist())


def _objects(cells: pa.Array) -> list[object]:
    """Return the cells as Python values, None where they are null."""
    if cells.null_count and not pa.types.is_string(cells.type):
        return list(cells.to_pylist())
    return list(cells.to_numpy(zero_copy_only=False).tolist())
