"""Rows of a file: their order, their bars, their predecessors."""

import numpy as np
import pytest

from streams.errors import TapeError
from streams.sources import batches
from streams.sources.batches import open_table
from streams.sources.layouts import KINDS, Layout, layout_of
from streams.sources.rows import NONE, Names, grid_close_ns, previous, rows_of
from tests.unit.streams.sources.conftest import Write

SECOND = 10**9
TRADES, _, BARS = (Layout(kind, "ts_event", None, has_venue=False, values=()) for kind in KINDS)


def test_grid_close_ns_when_ticks_stand_on_a_boundary_then_belong_to_the_bar_it_opens() -> None:
    """Intervals are half open: the last nanosecond before a boundary is still the old bar."""
    times = np.array([10 * SECOND - 1, 10 * SECOND, 10 * SECOND + 1])
    found = grid_close_ns(TRADES, times, 10 * SECOND)
    assert found.tolist() == [10 * SECOND, 20 * SECOND, 20 * SECOND]


def test_grid_close_ns_when_bars_stand_on_a_boundary_then_stay_and_others_move_up() -> None:
    """A bar is never replayed before its own close."""
    closes = np.array([10 * SECOND - 1, 10 * SECOND, 10 * SECOND + 1])
    found = grid_close_ns(BARS, closes, 10 * SECOND)
    assert found.tolist() == [10 * SECOND, 10 * SECOND, 20 * SECOND]


def test_previous_when_names_alternate_then_looks_back_within_each() -> None:
    """A B A B A sees nothing, nothing, then its own last value."""
    names = Names(["A", "B"], np.array([0, 1, 0, 1, 0]))
    last: dict[str, int] = {}
    found = previous(names, np.array([1, 10, 2, 20, 3]), last)
    assert found.tolist() == [NONE, NONE, 1, 10, 2]
    assert last == {"A": 3, "B": 20}


def test_previous_when_a_batch_follows_then_goes_on_from_the_last_values() -> None:
    """Positions of names differ from batch to batch; names do not."""
    last = {"A": 3, "B": 20}
    found = previous(Names(["C", "B"], np.array([0, 1, 1])), np.array([7, 21, 22]), last)
    assert found.tolist() == [NONE, 20, 21]
    assert last == {"A": 3, "B": 22, "C": 7}


@pytest.mark.parametrize("batch_rows", [2, 3, 100])
def test_rows_of_when_times_fall_then_names_both_rows(
    write: Write, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    """The fault is found inside a batch and across two."""
    monkeypatch.setattr(batches, "BATCH_ROWS", batch_rows)
    times = [1_000 * SECOND, 1_002 * SECOND, 1_002 * SECOND, 1_001 * SECOND]
    path = write({"ts_event_ns": times, "symbol": list("AAAA"), "price": [1.0] * 4}, "f.parquet")
    file = open_table(path)
    with pytest.raises(TapeError) as raised:
        list(rows_of(file, layout_of(file), "1s"))
    assert str(raised.value) == (
        f"{path}: ts_event_ns of row 4 (1970-01-01T00:16:41Z) is before that of row 3 "
        "(1970-01-01T00:16:42Z); expected rows in the order of their times"
    )


def test_rows_of_when_bars_have_opens_only_then_are_known_a_timeframe_later(write: Write) -> None:
    """The open of a bar is no time at which anybody knew the bar."""
    minute = 60 * SECOND
    prices = {name: [1.0] for name in ("open", "high", "low", "close")}
    file = open_table(write({"ts_event_ns": [7 * minute], "symbol": ["A"], **prices}))
    (rows,) = rows_of(file, layout_of(file), "1min")
    assert rows.known_ns.tolist() == rows.close_ns.tolist() == [8 * minute]


def test_names_when_asked_with_venue_then_joins_by_a_dot(write: Write) -> None:
    """The same symbol on two venues has two ids, if they are wanted."""
    columns = {"ts_event_ns": [SECOND] * 3, "symbol": list("ABA"), "venue": list("XXY")}
    file = open_table(write({**columns, "price": [1.0] * 3}))
    (rows,) = rows_of(file, layout_of(file), "1s")
    assert rows.names(with_venue=True).by_row() == ["A.X", "B.X", "A.Y"]
    assert rows.names(with_venue=False).by_row() == ["A", "B", "A"]
