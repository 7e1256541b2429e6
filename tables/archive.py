"""What the archive keeps: rows of the SQL tables from the records of the topics.

A row's key is its run, timeframe, symbol and close, so a record that comes twice makes no second
row. The columns and their checks stand in ``tables/migrations``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from streams.slices import FloatArray, Slice

LIVE = "live"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


class TableSpec(NamedTuple):
    """A table of the archive: its name, its columns in order, and whether it is kept by time."""

    name: str
    columns: tuple[str, ...]
    by_time: bool = True


class Rows(NamedTuple):
    """Rows for one table, each in the order of its columns."""

    table: TableSpec
    values: list[tuple[Any, ...]]


_SLOT = ("run", "timeframe", "symbol", "bar_close", "epoch")

EPOCHS = TableSpec("epochs", ("run", "epoch", "digest", "document"), by_time=False)
REGIME_HISTORY = TableSpec("regime_history", (*_SLOT, "bull", "bear", "sideways", "entropy_bits"))
WEIGHT_DECISIONS = TableSpec(
    "weight_decisions",
    (
        *_SLOT,
        *("bull_specialist", "bear_specialist", "sideways_specialist"),
        *("bull_score", "bear_score", "sideways_score"),
    ),
)
TABLES = (EPOCHS, REGIME_HISTORY, WEIGHT_DECISIONS)


def run_name(run: str) -> str:
    """Return what a run is called in SQL; the live run has no name on the wire.

    Examples
    --------
    >>> run_name(""), run_name("r1")
    ('live', 'r1')
    """
    return run or LIVE


def time_of(ns: int) -> datetime:
    """Return nanoseconds since 1970 as SQL has them; bars close on whole microseconds.

    Examples
    --------
    >>> time_of(86_400 * 10**9).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(microseconds=ns // _NS_PER_US)


def regime_rows(run: str, slice_: Slice) -> Rows:
    """Return the regime probabilities of a slice, one row per symbol.

    Raises
    ------
    RecordError
        If the slice has no such columns.
    """
    return Rows(REGIME_HISTORY, list(_by_symbol(run, slice_, slice_.matrix("regime"))))


def weight_rows(run: str, slice_: Slice) -> Rows:
    """Return weights and scores of a slice, one row per symbol; an unknown score is null.

    Raises
    ------
    RecordError
        If the slice has no such columns.
    """
    both = np.concatenate([slice_.matrix("weights"), slice_.matrix("scores")], axis=1)
    return Rows(WEIGHT_DECISIONS, list(_by_symbol(run, slice_, both)))


def _by_symbol(run: str, slice_: Slice, numbers: FloatArray) -> Iterator[tuple[Any, ...]]:
    meta = slice_.meta
    slot = (time_of(meta.close_ns), meta.epoch)
    known = np.isfinite(numbers).tolist()
    for row, symbol in enumerate(slice_.symbols()):
        values = zip(numbers[row].tolist(), known[row], strict=True)
        yield (
            run,
            meta.timeframe,
            symbol,
            *slot,
            *(v if is_known else None for v, is_known in values),
        )
