"""What the archive keeps: rows of the SQL tables from the records of the topics.

A row's key is its stack, run, timeframe, symbol and close, so a record that comes twice makes no
second row. The columns and their checks stand in ``tables/migrations``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from streams.slices import FloatArray, Slice

LIVE = "live"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


class RunKey(NamedTuple):
    """Whose rows: the stack's id and the run, which begin every row."""

    stack: str
    run: str


class TableSpec(NamedTuple):
    """A table of the archive.

    Attributes
    ----------
    name : str
    key, values : tuple of str
        Its columns in order: those of the primary key, and the others.
    by_time : bool
        Whether it is kept by time.
    may_differ : tuple of str
        Values in which a row that comes again may differ from the first.
    """

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    by_time: bool = True
    may_differ: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of a row."""
        return (*self.key, *self.values)


class Rows(NamedTuple):
    """Rows for one table, each in the order of its columns."""

    table: TableSpec
    values: list[tuple[Any, ...]]


RUN = RunKey._fields
_SLOT = (*RUN, "timeframe", "symbol", "bar_close")

EPOCHS = TableSpec("epochs", (*RUN, "epoch", "digest"), ("document",), by_time=False)
REGIME_HISTORY = TableSpec(
    "regime_history", _SLOT, ("epoch", "bull", "bear", "sideways", "entropy_bits")
)
WEIGHT_DECISIONS = TableSpec(
    "weight_decisions",
    _SLOT,
    (
        "epoch",
        *("bull_specialist", "bear_specialist", "sideways_specialist"),
        *("bull_score", "bear_score", "sideways_score"),
    ),
)
ARCHIVE_GAPS = TableSpec(
    "archive_gaps",
    (*RUN, "topic", "log_partition", "first_offset"),
    ("n_records", "kept_until", "noticed_at"),
    by_time=False,
    # Noticed again after a crash, at another time, when the broker has deleted more.
    may_differ=("n_records", "kept_until", "noticed_at"),
)
TABLES = (EPOCHS, REGIME_HISTORY, WEIGHT_DECISIONS, ARCHIVE_GAPS)


def run_key(stack: str, run: str) -> RunKey:
    """Return whose the rows of a run are; the live run has no name on the wire.

    Examples
    --------
    >>> run_key("paper-1f2e3d4c", "").run
    'live'
    """
    return RunKey(stack, run or LIVE)


def time_of(ns: int) -> datetime:
    """Return nanoseconds since 1970 as SQL has them; bars close on whole microseconds.

    Examples
    --------
    >>> time_of(86_400 * 10**9).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(microseconds=ns // _NS_PER_US)


def regime_rows(of: RunKey, slice_: Slice) -> Rows:
    """Return the regime probabilities of a slice, one row per symbol.

    Raises
    ------
    RecordError
        If the slice has no such columns.
    """
    return Rows(REGIME_HISTORY, list(_by_symbol(of, slice_, slice_.matrix("regime"))))


def weight_rows(of: RunKey, slice_: Slice) -> Rows:
    """Return weights and scores of a slice, one row per symbol; an unknown score is null.

    Raises
    ------
    RecordError
        If the slice has no such columns.
    """
    both = np.concatenate([slice_.matrix("weights"), slice_.matrix("scores")], axis=1)
    return Rows(WEIGHT_DECISIONS, list(_by_symbol(of, slice_, both)))


def _by_symbol(of: RunKey, slice_: Slice, numbers: FloatArray) -> Iterator[tuple[Any, ...]]:
    meta = slice_.meta
    slot = (time_of(meta.close_ns), meta.epoch)
    known = np.isfinite(numbers).tolist()
    for row, symbol in enumerate(slice_.symbols()):
        values = zip(numbers[row].tolist(), known[row], strict=True)
        yield (
            *of,
            meta.timeframe,
            symbol,
            *slot,
            *(v if is_known else None for v, is_known in values),
        )
