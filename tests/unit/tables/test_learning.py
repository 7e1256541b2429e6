"""Days of bars from slices: every column where it belongs, and nothing twice."""

import numpy as np
import pytest

from models.features.catalogue import NAMES
from streams.errors import RecordError
from streams.slices import BarColumns, Slice, SliceMeta, bar_slice
from tables.learning import DAY_NS, Grid, day_of, joined, prepared_of

N = len(NAMES)


def a_slice(close_ns: int, symbols: list[str], partition: int = 0, width: int = N) -> Slice:
    """Give a slice whose close is the number of the symbol's row plus the time in days."""
    n = len(symbols)
    price = np.arange(n) + close_ns / DAY_NS
    meta = SliceMeta(
        partition=partition,
        close_ns=close_ns,
        rank=0,
        chunk=0,
        n_chunks=1,
        n_partitions=2,
        timeframe="1day",
        epoch=1,
        epoch_digest="e" * 64,
        first_offset=0,
        last_offset=0,
    )
    columns = BarColumns(
        symbols,
        np.arange(n, dtype=np.int32),
        *(price.copy() for _ in range(4)),
        np.ones(n),
        price.copy(),
        np.ones(n, np.int64),
        price.copy(),
    )
    features = np.arange(n, dtype=np.float64)[:, None] + np.zeros((n, width))
    return bar_slice(meta, columns).with_columns({"features": features})


def test_day_of_when_a_bar_closes_at_midnight_then_it_ends_its_day() -> None:
    """A daily bar belongs to the day that it is of."""
    assert [day_of(3 * DAY_NS), day_of(3 * DAY_NS + 1)] == [2, 3]


def test_prepared_of_when_partitions_differ_then_rows_stand_by_symbol_and_time() -> None:
    """Two partitions become one grid; a symbol without a bar has none."""
    found = prepared_of(
        [
            a_slice(2 * DAY_NS, ["B", "D"], partition=1),
            a_slice(DAY_NS, ["C", "A"]),
            a_slice(2 * DAY_NS, ["C"]),
        ]
    )
    assert found.history.symbols == ("A", "B", "C", "D")
    assert found.history.close_ns.tolist() == [DAY_NS, 2 * DAY_NS]
    nan = np.nan
    assert np.array_equal(
        found.history.close, [[2.0, nan, 1.0, nan], [nan, 2.0, 2.0, 3.0]], equal_nan=True
    )
    assert found.features[1, :, 0].tolist()[1:] == [0.0, 0.0, 1.0]
    assert np.isnan(found.features[1, 0]).all()


def test_prepared_of_when_a_slice_is_repeated_or_void_then_it_changes_nothing() -> None:
    """A re-sent slice has the same key; a void one has no rows."""
    one, two = a_slice(DAY_NS, ["A"]), a_slice(2 * DAY_NS, ["A"])
    once, again = prepared_of([one, two]), prepared_of([one, one, two, one.voided("X")])
    assert once.features.tobytes() == again.features.tobytes()
    assert once.history.close_ns.tolist() == again.history.close_ns.tolist()


def test_prepared_of_when_features_are_of_another_pipeline_then_is_refused() -> None:
    """59 features are not those that the models know."""
    with pytest.raises(RecordError, match=f"{N - 1} features; expected {N}"):
        prepared_of([a_slice(DAY_NS, ["A"], width=N - 1)])


def test_joined_when_a_symbol_comes_later_then_it_has_no_bar_before() -> None:
    """Histories are laid end to end over the union of their symbols."""
    parts = [
        prepared_of([a_slice(n * DAY_NS, symbols)]) for n, symbols in ((1, ["A"]), (2, ["A", "B"]))
    ]
    grids = [Grid(part.history.symbols, tuple(part.history.close_ns)) for part in parts]
    found = joined(grids, iter(parts))
    assert found.history.symbols == ("A", "B")
    assert np.array_equal(found.history.close, [[1.0, np.nan], [2.0, 3.0]], equal_nan=True)
    assert found.features.shape == (2, 2, N)
