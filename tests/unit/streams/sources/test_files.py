"""Market data files as tapes: what is replayed, when, in which order, under which id."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from streams.errors import TapeError
from streams.records import Tick
from streams.sources import batches
from streams.sources.files import FileTape, open_tape
from streams.sources.tape import Interval
from tests.unit.streams.sources.conftest import Columns, Write

SECOND = 10**9
DAY = 86_400 * SECOND
# 2012-09-04T00:00:00Z.
TUESDAY = 15_587 * DAY

TRADES: Columns = {
    "ts_event_ns": [TUESDAY, TUESDAY, TUESDAY + SECOND - 1, TUESDAY + SECOND],
    "symbol": ["A", "B", "A", "A"],
    "venue": ["X", "X", "X", "X"],
    "price": [10.5, 20.25, 10.625, 10.75],
    "size": [1.0, None, 3.5, 4.0],
    "side": ["buy", None, "sell", "buy"],
    "trade_id": ["t1", "t2", None, "007"],
    "seq": [1, 1, 2, 3],
}
QUOTES: Columns = {
    "ts_event_ns": [TUESDAY, TUESDAY + 5 * SECOND],
    "symbol": ["A", "A"],
    "bid": [10.0, 11.0],
    "ask": [10.5, 10.5],
    "bid_size": [7.0, 8.0],
    "ask_size": [9.0, 0.0],
}
BARS: Columns = {
    "ts_event_ns": [TUESDAY, TUESDAY + DAY],
    "ts_close_ns": [TUESDAY + DAY, TUESDAY + 2 * DAY],
    "symbol": ["A", "A"],
    "open": [1.0, 2.0],
    "high": [3.0, 3.0],
    "low": [0.5, 1.5],
    "close": [2.0, 2.5],
    "volume": [100.0, None],
}
KINDS = pytest.mark.parametrize("columns", [TRADES, QUOTES, BARS], ids=["trades", "quotes", "bars"])


def whole(tape: FileTape) -> list[Interval]:
    """Return all intervals of a tape."""
    closes = tape.closes_ns()
    return list(tape.intervals(closes[0], closes[-1]))


def ticks_of(tape: FileTape) -> list[Tick]:
    """Return all ticks of a tape, by interval and symbol."""
    return [tick for interval in whole(tape) for ticks in interval.ticks.values() for tick in ticks]


def test_intervals_when_trades_stand_on_a_boundary_then_belong_to_the_later_bar(
    write: Write,
) -> None:
    """The bar that closes at second one holds what came before it, and not what came with it."""
    first, second = whole(open_tape(write(TRADES)))
    assert first == Interval(
        TUESDAY + SECOND,
        {
            "A": [
                Tick("A", TUESDAY, "trade", 10.5, 1.0, "buy", "X", "t1", 1),
                Tick("A", TUESDAY + SECOND - 1, "trade", 10.625, 3.5, "sell", "X", None, 2),
            ],
            "B": [Tick("B", TUESDAY, "trade", 20.25, None, None, "X", "t2", 1)],
        },
    )
    last = Tick("A", TUESDAY + SECOND, "trade", 10.75, 4.0, "buy", "X", "007", 3)
    assert second == Interval(TUESDAY + 2 * SECOND, {"A": [last]})


def test_intervals_when_quotes_are_crossed_then_passes_them_on(write: Write) -> None:
    """A bid above the ask came from a market; the bars stage answers for it."""
    first, second = ticks_of(open_tape(write(QUOTES)))
    assert first == Tick("A", TUESDAY, "quote", bid=10.0, ask=10.5, bid_size=7.0, ask_size=9.0)
    assert (second.bid, second.ask, second.ask_size) == (11.0, 10.5, 0.0)


def test_intervals_when_bars_are_replayed_then_their_time_is_their_close(write: Write) -> None:
    """A bar that were sent at its open would tell the stages the future."""
    first, second = whole(open_tape(write(BARS)))
    assert first.close_ns == TUESDAY + DAY
    assert first.ticks["A"] == [
        Tick(
            "A",
            TUESDAY + DAY,
            "bar",
            timeframe="1day",
            open=1.0,
            high=3.0,
            low=0.5,
            close=2.0,
            volume=100.0,
        )
    ]
    assert second.ticks["A"][0].ts_event == second.close_ns == TUESDAY + 2 * DAY


def test_intervals_when_a_session_ends_in_the_evening_then_its_bar_waits_for_midnight(
    write: Write,
) -> None:
    """New York closed at 20:00 UTC that day; the daily grid has its next point at 24:00."""
    close = TUESDAY + 20 * 3_600 * SECOND
    tape = open_tape(write({**BARS, "ts_close_ns": [close, close + DAY]}))
    assert tape.timeframe == "1day"
    assert tape.closes_ns() == [TUESDAY + DAY, TUESDAY + 2 * DAY]
    assert [tick.ts_event for tick in ticks_of(tape)] == tape.closes_ns()
    assert tape.notes == (
        "bars that close between two points of the 1day grid and are replayed at the later one: 2",
    )


def test_intervals_when_a_bar_has_a_close_alone_then_has_that_price_four_times(
    write: Write,
) -> None:
    """Indices and old stocks come with closes only; a bar with one price too few stays as it is."""
    columns = {
        **BARS,
        "open": [None, None],
        "high": [None, 3.0],
        "low": [None, 1.5],
    }
    tape = open_tape(write(columns))
    first, second = ticks_of(tape)
    assert (first.open, first.high, first.low, first.close) == (2.0, 2.0, 2.0, 2.0)
    assert (second.open, second.high, second.low, second.close) == (None, 3.0, 1.5, 2.5)
    assert tape.notes == ("bars with a close only, taken for all four: 1",)


@pytest.mark.parametrize("name", ["f.csv", "f.parquet"])
def test_intervals_when_prices_are_no_numbers_then_the_field_is_missing(
    tmp_path: Path, name: str
) -> None:
    """JSON has neither NaN nor infinity; zero and negative prices pass as they are."""
    prices = [float("nan"), float("inf"), -1.0, 0.0]
    columns = {"ts_event_ns": [TUESDAY] * 4, "symbol": ["A"] * 4, "price": prices}
    table = batches.pa.table(columns)
    if name.endswith("csv"):
        batches.pa.csv.write_csv(table, tmp_path / name)
    else:
        batches.pa.parquet.write_table(table, tmp_path / name)
    ticks = ticks_of(open_tape(tmp_path / name))
    assert [tick.price for tick in ticks] == [None, None, -1.0, 0.0]
    assert b"price" not in msgspec.json.encode(ticks[0])


@KINDS
@pytest.mark.parametrize("name", ["f.csv.gz", "f.parquet"])
def test_open_tape_when_the_format_differs_then_the_tape_does_not(
    write: Write, columns: Columns, name: str
) -> None:
    """The same rows as CSV, gzipped CSV or Parquet are the same ticks."""
    expected, found = open_tape(write(columns)), open_tape(write(columns, name))
    assert whole(found) == whole(expected)
    assert (found.symbols, found.timeframe) == (expected.symbols, expected.timeframe)
    assert found.closes_ns() == expected.closes_ns()


@KINDS
def test_open_tape_when_times_are_text_then_the_tape_is_the_same(
    write: Write, columns: Columns
) -> None:
    """RFC 3339 with an offset names the same instants as integer nanoseconds."""
    as_text = {
        name.removesuffix("_ns"): [pd.Timestamp(ns, tz="Asia/Kolkata").isoformat() for ns in cells]
        if name.endswith("_ns")
        else cells
        for name, cells in columns.items()
    }
    assert whole(open_tape(write(as_text, "text.csv"))) == whole(open_tape(write(columns)))


@KINDS
@pytest.mark.parametrize("batch_rows", [1, 2, 3])
def test_intervals_when_batches_are_small_then_nothing_changes(
    write: Write, monkeypatch: pytest.MonkeyPatch, columns: Columns, batch_rows: int
) -> None:
    """An interval whose ticks lie in several batches is still one interval."""
    path = write(columns, "f.parquet")
    expected = whole(open_tape(path))
    monkeypatch.setattr(batches, "BATCH_ROWS", batch_rows)
    assert whole(open_tape(path)) == expected


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_intervals_when_a_stretch_is_asked_for_then_both_ends_belong_to_it(
    write: Write, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    """Of five seconds the second to the fourth are three."""
    monkeypatch.setattr(batches, "BATCH_ROWS", batch_rows)
    times = [TUESDAY + n * SECOND for n in range(5)]
    columns: Columns = {"ts_event_ns": [*times], "symbol": ["A"] * 5, "price": [1.0] * 5}
    tape = open_tape(write(columns, "f.parquet"))
    found = tape.intervals(TUESDAY + 2 * SECOND, TUESDAY + 4 * SECOND)
    assert [interval.close_ns for interval in found] == [TUESDAY + n * SECOND for n in (2, 3, 4)]
    assert list(tape.intervals(TUESDAY + 9 * SECOND, TUESDAY + 99 * SECOND)) == []


def test_intervals_when_rows_are_equal_then_all_are_kept_in_the_order_of_the_file(
    write: Write,
) -> None:
    """Equal values are not duplicates, and one time says nothing about order."""
    columns: Columns = {"ts_event_ns": [TUESDAY] * 4, "symbol": ["A"] * 4}
    ticks = ticks_of(open_tape(write({**columns, "price": [3.0, 1.0, 1.0, 2.0]})))
    assert [tick.price for tick in ticks] == [3.0, 1.0, 1.0, 2.0]


def test_intervals_when_seq_restarts_then_ticks_carry_none(write: Write) -> None:
    """The second capture file's number 7 is another event than the first one's."""
    tape = open_tape(write({**TRADES, "seq": [7, 7, 8, 7]}))
    assert {tick.seq for tick in ticks_of(tape)} == {None}
    assert [tick.trade_id for tick in ticks_of(tape)] == ["t1", None, "t2", "007"]


def test_intervals_when_a_row_has_no_seq_then_only_that_tick_carries_none(tmp_path: Path) -> None:
    """A trade without a number cannot be a duplicate; its neighbours still can."""
    path = tmp_path / "f.csv"
    path.write_text(f"ts_event_ns,symbol,price,seq\n{TUESDAY},A,1,7\n{TUESDAY},A,2,\n")
    assert [tick.seq for tick in ticks_of(open_tape(path))] == [7, None]


def test_symbols_when_a_file_has_two_venues_then_ticks_go_by_symbol_and_venue(
    write: Write,
) -> None:
    """Two venues' prices of one symbol are two series."""
    tape = open_tape(write({**TRADES, "venue": ["X", "X", "Y", "X"]}))
    assert tape.symbols == ("A.X", "A.Y", "B.X")
    assert [(tick.symbol, tick.venue) for tick in ticks_of(tape)] == [
        ("A.X", "X"),
        ("B.X", "X"),
        ("A.Y", "Y"),
        ("A.X", "X"),
    ]


def test_name_when_a_tape_is_shown_then_has_file_rows_and_notes_but_no_folder(
    write: Write,
) -> None:
    """People read where ticks come from and what was done to them."""
    tape = open_tape(write({**TRADES, "venue": ["X", "X", "Y", "X"]}, "nasdaq.csv"))
    assert tape.name == "nasdaq.csv: 4 trades; ids are SYMBOL.VENUE: the file has 2 venues"


def test_open_tape_when_a_timeframe_is_given_then_ticks_fill_its_bars(write: Write) -> None:
    """All four trades lie in one minute."""
    tape = open_tape(write(TRADES), timeframe="1min")
    assert tape.timeframe == "1min"
    assert tape.closes_ns() == [TUESDAY + 60 * SECOND]
    assert [interval.n_ticks() for interval in whole(tape)] == [4]


@pytest.mark.parametrize(
    ("column", "cells", "fault"),
    [
        ("price", ["1", "2", "?", "4"], "price of row 3 was '?'; expected a number"),
        ("size", ["1", "", "3", "4 lots"], "size of row 4 was '4 lots'; expected a number"),
        ("seq", ["1", "two", "3", "4"], "seq of row 2 was 'two'; expected an integer"),
        ("symbol", ["A", None, "A", "A"], "symbol of row 2 was empty; expected a name"),
        ("venue", ["X", "X", "X", None], "venue of row 4 was empty; expected a name"),
    ],
)
def test_open_tape_when_a_cell_cannot_be_read_then_nothing_is_opened(
    write: Write, column: str, cells: list[object], fault: str
) -> None:
    """Every fault is found before the first tick is sent."""
    path = write({**TRADES, column: cells})
    with pytest.raises(TapeError) as raised:
        open_tape(path)
    assert str(raised.value) == f"{path}: {fault}"


REAL = [
    ("trades_nasdaq_1h", "1s", 5),
    ("trades_crypto_binance", "1s", 2),
    ("quotes_crypto_binance", "1s", 2),
    ("quotes_fx_ticks", "1s", 3),
    ("bars_1m_spy", "1min", 1),
    ("bars_1h_fx", "1hour", 5),
    ("bars_1d_us_equities_2012_2017", "1day", 44),
    ("bars_1d_us_equities_wiki", "1day", 4),
    ("close_1d_us_equities_1990_2022", "1day", 10),
]


@pytest.mark.tape
@pytest.mark.parametrize(("name", "timeframe", "n_symbols"), REAL, ids=[name for name, *_ in REAL])
def test_open_tape_when_data_is_real_then_every_row_is_one_tick_in_order(
    data: Path, name: str, timeframe: str, n_symbols: int
) -> None:
    """Row for row as pandas reads the file: times, prices, order per symbol, closes."""
    frame = pd.read_parquet(data / f"{name}.parquet")
    tape = open_tape(data / f"{name}.parquet")
    assert (tape.timeframe, len(tape.symbols)) == (timeframe, n_symbols)
    ids = frame.symbol if frame.venue.nunique() == 1 else frame.symbol + "." + frame.venue
    value = next(column for column in ("price", "bid", "close") if column in frame)
    found: dict[str, list[tuple[int, float]]] = {symbol: [] for symbol in tape.symbols}
    closes = []
    for interval in tape.intervals(0, 2**62):
        closes.append(interval.close_ns)
        for symbol, ticks in interval.ticks.items():
            found[symbol] += [(tick.ts_event, getattr(tick, value)) for tick in ticks]
    assert closes == tape.closes_ns()
    for symbol, rows in frame.groupby(ids):
        times, values = zip(*found.pop(symbol), strict=True)
        assert list(values) == rows[value].tolist()
        if "ts_close_ns" in frame:
            assert all(at >= known for at, known in zip(times, rows.ts_close_ns, strict=True))
            assert all(before < after for before, after in pairwise(times))
        else:
            assert list(times) == rows.ts_event_ns.tolist()
    assert not found


@pytest.mark.tape
def test_open_tape_when_real_bars_last_four_hours_then_lists_the_timeframes(data: Path) -> None:
    """A shared file that has no timeframe of ours is refused with the ones there are."""
    with pytest.raises(TapeError, match=r"usually last 14400 s; expected a known timeframe: 1s,"):
        open_tape(data / "bars_4h_crypto_coinbase.parquet")


@pytest.mark.tape
@pytest.mark.parametrize("name", ["quotes_fx_ticks", "bars_1d_us_equities_2012_2017"])
def test_open_tape_when_a_real_sample_is_gzipped_csv_then_equals_the_parquet(
    data: Path, name: str
) -> None:
    """The samples are the first 5,000 rows, so all but the last interval must agree."""
    sample = whole(open_tape(data / "csv_samples" / f"{name}.head5000.csv.gz"))
    tape = open_tape(data / f"{name}.parquet")
    expected = tape.intervals(sample[0].close_ns, sample[-2].close_ns)

    def bare(intervals: list[Interval]) -> list[Interval]:
        # The sample has fewer venues, so its ids may be shorter.
        return [
            Interval(
                close, {s.split(".")[0]: [_bare(t) for t in some] for s, some in ticks.items()}
            )
            for close, ticks in intervals
        ]

    assert bare(sample[:-1]) == bare(list(expected))


def _bare(tick: Tick) -> Tick:
    return msgspec.structs.replace(tick, symbol=tick.symbol.split(".")[0])
