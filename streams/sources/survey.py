"""The first reading of a market data file: everything that could stop its replay, found before.

What is unusual but no fault is said in the notes.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.errors import TapeError
from streams.slices import BoolArray, IntArray
from streams.sources.batches import TableFile
from streams.sources.columns import times_ns
from streams.sources.layouts import SEQ, Layout
from streams.sources.rows import NONE, Names, Rows, column_of, grid_close_ns, previous, rows_of
from streams.timestamps import EARLIEST_NS, NS_PER_SECOND, TIMEFRAMES_NS, format_ns

DEFAULT_TICK_TIMEFRAME = "1s"

_DAY_NS = TIMEFRAMES_NS["1day"]
_KNOWN = ", ".join(TIMEFRAMES_NS)


class Survey(NamedTuple):
    """What the first reading found.

    Attributes
    ----------
    n_rows
        Data rows of the file.
    closes_ns
        The closes that have events, rising strictly.
    symbols
        Ids of the wire in symbol order.
    with_venue
        Whether those are ``SYMBOL.VENUE``: the file has several venues.
    with_seq
        Whether ``seq`` may serve as identity: it rises strictly for every symbol.
    notes
        What a person should know about the replay, one sentence each.
    """

    n_rows: int
    closes_ns: IntArray
    symbols: tuple[str, ...]
    with_venue: bool
    with_seq: bool
    notes: tuple[str, ...]


def timeframe_of(file: TableFile, layout: Layout, asked: str | None) -> str:
    """Return the timeframe of a tape: as asked for, or as the bars of the file last.

    Raises
    ------
    TapeError
        If it is unknown, cannot be found, or contradicts the file.
    """
    if asked is not None and asked not in TIMEFRAMES_NS:
        raise TapeError(f"timeframe was {asked!r}; expected one of {_KNOWN}")
    if layout.kind.type != "bar":
        return asked or DEFAULT_TICK_TIMEFRAME
    if layout.event_time is None or layout.close_time is None:
        if asked is None:
            only = layout.event_time or layout.close_time
            raise TapeError(
                f"{file.path}: {only} alone does not say how long a bar lasts; "
                f"expected a timeframe to be given, one of {_KNOWN}"
            )
        return asked
    lasts = _usual_timeframe(file, layout.event_time, layout.close_time)
    if asked not in (None, lasts):
        raise TapeError(f"{file.path}: its bars are {lasts} bars; the timeframe was {asked!r}")
    return lasts


def _usual_timeframe(file: TableFile, event_time: str, close_time: str) -> str:
    batch = next(file.batches((event_time, close_time)), None)
    if batch is None or not len(batch.columns[close_time]):
        raise TapeError(f"{file.path}: the file has no rows; expected at least one")
    opens_ns = times_ns(column_of(file, batch, event_time))
    lasts_ns = times_ns(column_of(file, batch, close_time)) - opens_ns
    usual_ns = Counter(lasts_ns.tolist()).most_common(1)[0][0]
    for name, timeframe_ns in TIMEFRAMES_NS.items():
        if usual_ns == timeframe_ns:
            return name
    # A session's bar carries its date as midnight UTC and closes when the session does.
    if not (opens_ns % _DAY_NS).any() and 0 < usual_ns < _DAY_NS:
        return "1day"
    raise TapeError(
        f"{file.path}: from {event_time} to {close_time} its bars usually last "
        f"{usual_ns / NS_PER_SECOND:g} s; expected a known timeframe: {_KNOWN}"
    )


def survey(file: TableFile, layout: Layout, timeframe: str) -> Survey:
    """Read a file once, whole, and check everything.

    Raises
    ------
    TapeError
        With the file, the column, the 1-based row and the value.
    """
    found = _Found(file, layout, timeframe)
    for rows in rows_of(file, layout, timeframe):
        found.add(rows)
    if not found.n_rows:
        raise TapeError(f"{file.path}: the file has no rows; expected at least one")
    # Seconds, milliseconds or microseconds of our time, read as nanoseconds, lie before it.
    if found.last_ns <= EARLIEST_NS:
        raise TapeError(
            f"{file.path}: {layout.close_time or layout.event_time} ends at "
            f"{format_ns(found.last_ns)}; expected nanoseconds, these look like another unit"
        )
    with_venue = len(found.venues) > 1
    return Survey(
        found.n_rows,
        np.unique(np.concatenate(found.closes_ns)),
        tuple(sorted(found.ids if with_venue else found.symbols)),
        with_venue,
        SEQ in layout.values and not found.seq_falls_at,
        tuple(found.notes()),
    )


@dataclass(slots=True)
class _Found:
    """What the reading has found so far; one number per symbol is carried from batch to batch."""

    file: TableFile
    layout: Layout
    timeframe: str
    n_rows: int = 0
    n_early: int = 0
    last_ns: int = 0
    closes_ns: list[IntArray] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    venues: set[str] = field(default_factory=set)
    seq_falls_at: tuple[str, int] | None = None
    n_moved: int = 0
    n_close_only: int = 0
    last_seq: dict[str, int] = field(default_factory=dict)
    last_close_ns: dict[str, int] = field(default_factory=dict)

    def add(self, rows: Rows) -> None:
        names = rows.names(with_venue=True)
        self.n_rows += len(rows.known_ns)
        self.n_early += int((rows.close_ns <= EARLIEST_NS).sum())
        self.last_ns = int(rows.known_ns[-1])
        self.closes_ns.append(np.unique(rows.close_ns))
        self.symbols.update(rows.symbols.unique().to_pylist())
        self.ids.update(names.distinct)
        if rows.venues is not None:
            self.venues.update(rows.venues.unique().to_pylist())
        if SEQ in rows.others and self.seq_falls_at is None:
            self._watch_seq(rows, names)
        if self.layout.kind.type == "bar":
            self._watch_bars(rows, names)

    def _watch_seq(self, rows: Rows, names: Names) -> None:
        given = np.flatnonzero(rows.others[SEQ].is_valid().to_numpy(zero_copy_only=False))
        if not len(given):
            return
        seq = rows.others[SEQ].take(given).to_numpy().astype(np.int64)
        some = names._replace(codes=names.codes[given])
        falls = np.flatnonzero(seq <= previous(some, seq, self.last_seq))
        if len(falls):
            at = int(falls[0])
            name = names.distinct[some.codes[at]]
            self.seq_falls_at = (name, rows.first_row + int(given[at]))

    def _watch_bars(self, rows: Rows, names: Names) -> None:
        self.n_moved += int((rows.close_ns != rows.known_ns).sum())
        self.n_close_only += int(close_only(rows).sum())
        before_ns = previous(names, rows.known_ns, self.last_close_ns)
        before_grid_ns = grid_close_ns(self.layout, before_ns, TIMEFRAMES_NS[self.timeframe])
        meets = (before_ns != rows.known_ns) & (before_grid_ns == rows.close_ns)
        meeting = np.flatnonzero(meets & (before_ns != NONE))
        if len(meeting):
            at = int(meeting[0])
            raise TapeError(
                f"{self.file.path}: the bar of {names.distinct[names.codes[at]]} in row "
                f"{rows.first_row + at} closes at {format_ns(int(rows.known_ns[at]))}, the one "
                f"before it at {format_ns(int(before_ns[at]))}; "
                f"expected one bar per symbol and {self.timeframe}"
            )

    def notes(self) -> list[str]:
        notes = []
        if len(self.venues) > 1:
            notes.append(f"ids are SYMBOL.VENUE: the file has {len(self.venues)} venues")
        if self.n_close_only:
            notes.append(f"bars with a close only, taken for all four: {self.n_close_only:,}")
        if self.n_moved:
            notes.append(
                f"bars that close between two points of the {self.timeframe} grid and are "
                f"replayed at the later one: {self.n_moved:,}"
            )
        if self.n_early:
            notes.append(
                f"{self.layout.kind.plural} before {format_ns(EARLIEST_NS)}, which no tick may be "
                f"and which become dead letters: {self.n_early:,}"
            )
        if self.seq_falls_at:
            name, row = self.seq_falls_at
            notes.append(
                f"seq is left out: it does not rise for {name} at row {row}, so it identifies no "
                "event"
            )
        return notes


def close_only(rows: Rows) -> BoolArray:
    """Return which bars have a close and neither open, high nor low, as a mask."""
    missing = [np.isnan(rows.numbers[name]) for name in ("open", "high", "low")]
    return np.asarray(np.all(missing, axis=0) & ~np.isnan(rows.numbers["close"]))
