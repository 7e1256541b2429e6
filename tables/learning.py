"""What goes on learning remembers: bars with their features, day by day, from slices."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.features.catalogue import NAMES
from models.history import PRICES, BarHistory
from models.prepared import Prepared
from streams.errors import RecordError
from streams.slices import Slice

DAY_NS = 86_400 * 10**9

_FEATURES = "features"


class Day(NamedTuple):
    """One day's bars, by the day they close in, counted from 1970 UTC.

    ``offsets`` says from where they are: partition -> first and last offset of their slices.
    """

    number: int
    prepared: Prepared
    offsets: Mapping[int, tuple[int, int]]


def day_of(close_ns: int) -> int:
    """Return the day that a close belongs to; midnight ends a day.

    Examples
    --------
    >>> day_of(DAY_NS), day_of(DAY_NS + 1)
    (0, 1)
    """
    return (close_ns - 1) // DAY_NS


def prepared_of(slices: Iterable[Slice]) -> Prepared:
    """Lay slices out as one history; a repeated slice counts once, a void one not at all.

    Raises
    ------
    RecordError
        If a slice has not the columns of bars and features.
    """
    by_key = {(s.meta.partition, *s.key): s for s in slices if s.n_rows}
    found = list(by_key.values())
    for each in found:
        width = each.matrix(_FEATURES).shape[1]
        if width != len(NAMES):
            raise RecordError("WRONG_COLUMN", f"{width} features; expected {len(NAMES)}")
    symbols = tuple(sorted({symbol for each in found for symbol in each.symbols()}))
    closes = np.array(sorted({each.meta.close_ns for each in found}), np.int64)
    at = {symbol: column for column, symbol in enumerate(symbols)}
    shape = (len(closes), len(symbols))
    columns = {name: np.full(shape, np.nan) for name in PRICES}
    features = np.full((*shape, len(NAMES)), np.nan)
    for each in found:
        bar = int(np.searchsorted(closes, each.meta.close_ns))
        rows = [at[symbol] for symbol in each.symbols()]
        for name in PRICES:
            columns[name][bar, rows] = each.floats(name)
        features[bar, rows] = each.matrix(_FEATURES)
    return Prepared(BarHistory(symbols, closes, **columns), features)


class Grid(NamedTuple):
    """The axes of a history: symbols, and closes in ns, also those without any bar."""

    symbols: tuple[str, ...]
    close_ns: tuple[int, ...]


def joined(grids: Sequence[Grid], parts: Iterable[Prepared]) -> Prepared:
    """Lay histories that follow each other end to end; a symbol need not be in all of them.

    Each part is let go before the next one is asked for: months of minutes are held once.

    Parameters
    ----------
    grids : sequence of Grid
        Of all parts, in their order.
    parts : iterable of Prepared
    """
    symbols = tuple(sorted({symbol for grid in grids for symbol in grid.symbols}))
    at = {symbol: column for column, symbol in enumerate(symbols)}
    closes = np.array([close for grid in grids for close in grid.close_ns], np.int64)
    shape = (len(closes), len(symbols))
    columns = {name: np.full(shape, np.nan) for name in PRICES}
    features = np.full((*shape, len(NAMES)), np.nan)
    first = 0
    for part in parts:
        bars = slice(first, first + len(part.history.close_ns))
        where = [at[symbol] for symbol in part.history.symbols]
        for name in PRICES:
            columns[name][bars, where] = getattr(part.history, name)
        features[bars, where] = part.features
        first = bars.stop
    return Prepared(BarHistory(symbols, closes, **columns), features)


def in_order(earlier: Prepared, later: Prepared) -> Prepared:
    """Lay two histories end to end."""
    parts = (earlier, later)
    grids = [Grid(each.history.symbols, tuple(each.history.close_ns.tolist())) for each in parts]
    return joined(grids, parts)


def between(prepared: Prepared, first_ns: int, last_ns: int) -> Prepared:
    """Return the bars of a history that close from one time to another, both included."""
    closes = prepared.history.close_ns
    first = int(np.searchsorted(closes, first_ns))
    return _bars(prepared, slice(first, int(np.searchsorted(closes, last_ns, side="right"))))


def before(prepared: Prepared, close_ns: int, *, since_ns: int, n_more: int) -> Prepared:
    """Return the bars that close before a time and after another one, and some more before them."""
    closes = prepared.history.close_ns
    first = int(np.searchsorted(closes, since_ns, side="right")) - n_more
    return _bars(prepared, slice(max(first, 0), int(np.searchsorted(closes, close_ns))))


def _bars(prepared: Prepared, bars: slice) -> Prepared:
    history, features = prepared
    columns = {name: getattr(history, name)[bars] for name in PRICES}
    cut = BarHistory(history.symbols, history.close_ns[bars], **columns)
    return Prepared(cut, features[bars])
