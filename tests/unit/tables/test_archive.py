"""Rows of the archive: one per symbol, keyed by run and slot, with nulls where nothing is known."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from streams.errors import RecordError
from tables import account_rows
from tables.archive import TABLES, RunKey, regime_rows, time_of, weight_rows
from tables.stores.migrations import migrations
from tests.builders import MIDNIGHT, MINUTE, bars, meta

CLOSE = MIDNIGHT + MINUTE
OF = RunKey("paper-1f2e3d4c", "r1")


def test_regime_rows_when_two_symbols_closed_then_gives_a_row_each() -> None:
    """Slot, epoch and the four numbers stand in the order of the columns."""
    slice_ = bars(meta(CLOSE), {"AAA": 1.0, "BBB": 2.0}, ("AAA", "BBB")).with_columns(
        {"regime": np.array([[0.5, 0.25, 0.25, 1.5], [1.0, 0.0, 0.0, 0.0]])}
    )
    at = datetime(2024, 1, 2, 0, 1, tzinfo=UTC)
    assert regime_rows(OF, slice_).values == [
        (*OF, "1min", "AAA", at, 1, 0.5, 0.25, 0.25, 1.5),
        (*OF, "1min", "BBB", at, 1, 1.0, 0.0, 0.0, 0.0),
    ]


def test_weight_rows_when_a_specialist_is_silent_then_its_score_is_null() -> None:
    """NaN is no number that SQL should average."""
    slice_ = bars(meta(CLOSE), {"AAA": 1.0}, ("AAA",)).with_columns(
        {
            "weights": np.array([[0.5, 0.5, 0.0]]),
            "scores": np.array([[0.1, -0.2, math.nan]]),
        }
    )
    (row,) = weight_rows(OF, slice_).values
    assert row[6:] == (0.5, 0.5, 0.0, 0.1, -0.2, None)


def test_rows_when_a_column_is_missing_then_the_slice_is_refused() -> None:
    """A slice that has not passed the stage has no such rows."""
    with pytest.raises(RecordError, match="regime"):
        regime_rows(OF, bars(meta(CLOSE), {"AAA": 1.0}, ("AAA",)))


def test_time_when_beyond_float_precision_then_is_exact() -> None:
    """A second of 2024 in ns has 19 digits; a float would miss it by 100 ns and more."""
    assert time_of(MIDNIGHT + 1_000).microsecond == 1


def test_tables_when_declared_then_are_made_by_a_migration() -> None:
    """No table is written to that the schema does not make."""
    made = "".join(step.up for step in migrations())
    for table in (*TABLES, *account_rows.TABLES):
        assert f"'{table.name}'" in made or f"tradewind.{table.name} (" in made
