"""Which columns make trades, quotes or bars."""

from pathlib import Path

import pyarrow as pa
import pytest

from streams.errors import TapeError
from streams.sources.batches import TableFile
from streams.sources.layouts import Layout, layout_of

ANY_TIME = "ts_event_ns or ts_event or ts_close_ns or ts_close"


def csv_layout(header: str) -> Layout:
    """Return the layout of a CSV with these columns."""
    return layout_of(TableFile(Path("f.csv"), dict.fromkeys(header.split(), pa.string())))


@pytest.mark.parametrize(
    ("header", "type_", "values"),
    [
        ("ts_event_ns symbol price", "trade", ("price",)),
        ("symbol ts_event seq price size", "trade", ("price", "size", "seq")),
        ("ts_event symbol bid ask bid_size", "quote", ("bid", "ask", "bid_size")),
        ("ts_close symbol open high low close", "bar", ("open", "high", "low", "close")),
    ],
)
def test_layout_of_when_the_columns_of_a_kind_are_there_then_recognises_it(
    header: str, type_: str, values: tuple[str, ...]
) -> None:
    """The kind follows from the price columns, in any order; extra columns do not matter."""
    layout = csv_layout(f"{header} remark")
    assert (layout.kind.type, layout.values, layout.has_venue) == (type_, values, False)


def test_layout_of_when_both_forms_of_a_time_are_there_then_takes_the_integers() -> None:
    """Nanoseconds are exact; a text beside them is for people."""
    layout = csv_layout("ts_event ts_event_ns ts_close ts_close_ns symbol open high low close")
    assert (layout.event_time, layout.close_time) == ("ts_event_ns", "ts_close_ns")


def test_layout_of_when_ticks_have_a_close_time_then_ignores_it() -> None:
    """Only bars close."""
    assert csv_layout("ts_event ts_close symbol price").close_time is None


def test_layout_of_when_no_kind_fits_then_says_what_was_found_and_what_is_needed() -> None:
    """A person sees both lists side by side."""
    with pytest.raises(TapeError) as raised:
        csv_layout("time symbol bid last")
    assert str(raised.value) == (
        "f.csv: no known kind of market data; found time, symbol, bid, last; expected symbol, "
        "ts_event_ns or ts_event, and for trades price; quotes bid, ask; bars open, high, low, "
        "close"
    )


def test_layout_of_when_two_kinds_fit_then_refuses_to_choose() -> None:
    """A trade with the quote of its time would lose one of them."""
    with pytest.raises(TapeError, match=r"the columns fit trades and quotes; expected one kind"):
        csv_layout("ts_event symbol price bid ask")


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("ts_event price", "symbol is missing; found ts_event, price"),
        ("symbol price", "ts_event_ns or ts_event is missing; found symbol, price"),
        (
            "open high low close ts",
            f"symbol, {ANY_TIME} is missing; found open, high, low, close, ts",
        ),
    ],
)
def test_layout_of_when_symbol_or_time_is_missing_then_names_them(
    header: str, missing: str
) -> None:
    """Prices alone are no market events."""
    with pytest.raises(TapeError) as raised:
        csv_layout(header)
    assert str(raised.value) == f"f.csv: {missing}"


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("price", pa.string(), "numbers"),
        ("price", pa.bool_(), "numbers"),
        ("ts_event", pa.timestamp("ns"), "times with a zone, RFC 3339 text or integer nanoseconds"),
        ("ts_event", pa.float64(), "times with a zone, RFC 3339 text or integer nanoseconds"),
        ("ts_event_ns", pa.timestamp("ns", "UTC"), "integers"),
        ("symbol", pa.int64(), "text"),
        ("seq", pa.float64(), "integers"),
        ("trade_id", pa.float64(), "text or integers"),
    ],
)
def test_layout_of_when_a_parquet_column_has_a_wrong_type_then_names_both(
    name: str, kind: pa.DataType, expected: str
) -> None:
    """A typed file says before its first row that it cannot be meant."""
    types = {"ts_event": pa.int64(), "symbol": pa.string(), "price": pa.float64()}
    if name == "ts_event_ns":
        del types["ts_event"]
    with pytest.raises(TapeError) as raised:
        layout_of(TableFile(Path("f.parquet"), {**types, name: kind}))
    assert str(raised.value) == f"f.parquet: {name} has type {kind}; expected {expected}"


def test_layout_of_when_texts_are_dictionaries_then_accepts_them() -> None:
    """Pandas writes categories so."""
    kind = pa.dictionary(pa.int32(), pa.large_string())
    types = {"ts_event": pa.int64(), "symbol": kind, "venue": kind, "price": pa.float32()}
    assert layout_of(TableFile(Path("f.parquet"), types)).has_venue
