"""What goes on learning remembers: bars with their features, day by day, from slices."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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


def joined(parts: Sequence[Prepared]) -> Prepared:
    """Lay histories that follow each other end to end; a symbol need not be in all of them."""
    symbols = tuple(sorted({symbol for part in parts for symbol in part.history.symbols}))
    at = {symbol: column for column, symbol in enumerate(symbols)}

    def wide(values: np.ndarray, part: Prepared) -> np.ndarray:
        laid = np.full((values.shape[0], len(symbols), *values.shape[2:]), np.nan)
        laid[:, [at[symbol] for symbol in part.history.symbols]] = values
        return laid

    def column(name: str) -> Any:  # noqa: ANN401  an array
        return np.concatenate([wide(getattr(part.history, name), part) for part in parts])

    closes = np.concatenate([part.history.close_ns for part in parts])
    history = BarHistory(symbols, closes, **{name: column(name) for name in PRICES})
    return Prepared(history, np.concatenate([wide(part.features, part) for part in parts]))
