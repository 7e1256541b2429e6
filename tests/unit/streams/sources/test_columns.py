"""Cells become numbers, texts and times, or an error that names the cell."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from streams.errors import TapeError
from streams.sources.columns import Column, full_texts, integers, numbers, texts, times_ns

ZONED = "an RFC 3339 time with its zone, such as 2026-01-02T03:04:05Z, or integer nanoseconds"


def column(cells: list[object], name: str = "price", kind: pa.DataType | None = None) -> Column:
    """Return a column of file.csv whose first cell is in row 11."""
    return Column("file.csv", name, 11, pa.array(cells, kind))


def test_numbers_when_cells_are_text_then_reads_them_and_marks_what_is_missing() -> None:
    """Empty, NaN and infinite cells have no value; all others keep theirs."""
    found = numbers(column(["1.25", "-3", "1e3", None, "nan", "inf", "-inf"]))
    expected = [1.25, -3.0, 1000.0, np.nan, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float32(), pa.decimal128(5, 2)])
def test_numbers_when_cells_are_typed_then_become_floats(kind: pa.DataType) -> None:
    """Parquet files keep prices in many types; the wire knows one."""
    found = numbers(column([3, None], kind=kind))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [3.0, np.nan])


def test_numbers_when_a_cell_is_a_word_then_names_file_column_row_and_value() -> None:
    """The third cell below row 11 stands in row 13."""
    with pytest.raises(
        TapeError, match=r"^file\.csv: price of row 13 was 'n/a'; expected a number$"
    ):
        numbers(column(["1", "2", "n/a", "4", "x"]))


def test_integers_when_a_cell_has_a_fraction_then_is_refused() -> None:
    """A sequence number of 1.5 is a mistake in the columns."""
    with pytest.raises(
        TapeError, match=r"^file\.csv: seq of row 12 was '1\.5'; expected an integer$"
    ):
        integers(column(["1", "1.5"], "seq"))


def test_integers_when_a_cell_is_empty_then_stays_null() -> None:
    """A row may lack its number."""
    assert integers(column(["7", None], "seq")).to_pylist() == [7, None]


def test_texts_when_cells_are_integers_then_become_text() -> None:
    """A trade id is a name, whatever digits it has."""
    assert texts(column([5_266_583_935, None], "trade_id")).to_pylist() == ["5266583935", None]


@pytest.mark.parametrize(("cell", "found"), [(None, "empty"), ("", "''")])
def test_full_texts_when_a_cell_is_empty_then_names_its_row(cell: str | None, found: str) -> None:
    """A row without a symbol belongs to nobody."""
    with pytest.raises(
        TapeError, match=rf"^file\.csv: symbol of row 12 was {found}; expected a name$"
    ):
        full_texts(column(["A", cell], "symbol"))


def test_times_ns_when_text_has_zones_then_agrees_with_pandas() -> None:
    """Any offset and up to nine digits of a second come out as the same instant."""
    written = [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.123456789+01:00",
        "2026-01-02 03:04:05.5-05:30",
    ]
    found = times_ns(column([*written], "ts_event"))
    assert found.tolist() == [pd.Timestamp(text).value for text in written]


def test_times_ns_when_forms_are_mixed_then_reads_each() -> None:
    """Integer nanoseconds may stand below RFC 3339 text."""
    cells: list[object] = ["1970-06-01T00:00:00Z", "13046400000000001"]
    assert times_ns(column(cells, "ts_event")).tolist() == [13_046_400 * 10**9, 13046400000000001]


def test_times_ns_when_type_is_a_zoned_timestamp_then_keeps_the_instant() -> None:
    """Noon in New York's winter is 17:00 UTC, here from microseconds."""
    noon = pd.Timestamp("2026-01-02T12:00:00", tz="America/New_York")
    found = times_ns(column([noon], "ts_event", pa.timestamp("us", "America/New_York")))
    assert found.tolist() == [pd.Timestamp("2026-01-02T17:00:00Z").value]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("2026-01-02 03:04:05", "'2026-01-02 03:04:05'"),
        ("2026-01-02", "'2026-01-02'"),
        ("today", "'today'"),
        ("2500-01-01T00:00:00Z", "'2500-01-01T00:00:00Z'"),
        (None, "empty"),
    ],
)
def test_times_ns_when_text_is_no_instant_then_names_its_row(cell: str | None, shown: str) -> None:
    """A local time without a zone could be any of 38 instants, so it is not guessed."""
    with pytest.raises(TapeError) as raised:
        times_ns(column(["2026-01-02T03:04:05Z", cell], "ts_event"))
    assert str(raised.value) == f"file.csv: ts_event of row 12 was {shown}; expected {ZONED}"


def test_times_ns_when_the_name_says_nanoseconds_then_text_times_are_refused() -> None:
    """A column that ends in _ns holds integers."""
    with pytest.raises(TapeError, match=r"row 11 was '2026.*; expected integer nanoseconds$"):
        times_ns(column(["2026-01-02T03:04:05Z"], "ts_event_ns"))


@pytest.mark.parametrize("cell", [0, -1, 7_258_118_400 * 10**9])
def test_times_ns_when_outside_1970_to_2200_then_is_refused(cell: int) -> None:
    """Zero is a missing time more often than the first moment of 1970."""
    with pytest.raises(TapeError, match=rf"row 12 was {cell}; expected a time in 1970\.\.2200"):
        times_ns(column([10**18, cell], "ts_event_ns"))
