"""The first reading: timeframes, notes, and the faults that end it."""

from pathlib import Path

import pytest

from streams.errors import TapeError
from streams.sources import batches
from streams.sources.batches import open_table
from streams.sources.layouts import layout_of
from streams.sources.survey import Survey, survey, timeframe_of
from tests.unit.streams.sources.conftest import Columns, Write

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# 2012-09-04, a trading day, in days since the epoch.
TUESDAY = 15_587 * DAY


def bars(opens: list[int], closes: list[int], symbols: str = "A") -> Columns:
    """Return bars of price 1 between these times; symbols take turns."""
    names = [symbols[at % len(symbols)] for at in range(len(closes))]
    prices = {name: [1.0] * len(closes) for name in ("open", "high", "low", "close")}
    times = {"ts_event_ns": opens} if opens else {}
    return {**times, "ts_close_ns": closes, "symbol": names, **prices}


def timeframe(path: Path, asked: str | None = None) -> str:
    """Return the timeframe that a file gets."""
    file = open_table(path)
    return timeframe_of(file, layout_of(file), asked)


def surveyed(path: Path, asked: str | None = None) -> Survey:
    """Return what the first reading finds."""
    file = open_table(path)
    layout = layout_of(file)
    return survey(file, layout, timeframe_of(file, layout, asked))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (SECOND, "1s"),
        (10 * SECOND, "10s"),
        (60 * SECOND, "1min"),
        (300 * SECOND, "5min"),
        (HOUR, "1hour"),
        (DAY, "1day"),
    ],
)
def test_timeframe_of_when_bars_last_a_known_time_then_it_is_theirs(
    write: Write, length: int, expected: str
) -> None:
    """Bars say themselves how long they last."""
    opens = [TUESDAY + n * length for n in range(3)]
    assert timeframe(write(bars(opens, [ns + length for ns in opens]))) == expected


def test_timeframe_of_when_bars_are_sessions_then_is_a_day(write: Write) -> None:
    """New York closes at 20:00 or 21:00 UTC, 20 or 21 hours after its date began."""
    opens = [TUESDAY, TUESDAY + DAY, TUESDAY + 90 * DAY]
    closes = [TUESDAY + 20 * HOUR, TUESDAY + DAY + 20 * HOUR, TUESDAY + 90 * DAY + 21 * HOUR]
    assert timeframe(write(bars(opens, closes))) == "1day"


def test_timeframe_of_when_some_bars_are_short_then_the_usual_length_counts(write: Write) -> None:
    """The closing auction of a day may be a bar of no length."""
    opens = [TUESDAY, TUESDAY + 60 * SECOND, TUESDAY + 120 * SECOND]
    closes = [TUESDAY + 60 * SECOND, TUESDAY + 120 * SECOND, TUESDAY + 121 * SECOND]
    assert timeframe(write(bars(opens, closes))) == "1min"


@pytest.mark.parametrize("asked", [None, "1hour", "1day"])
def test_timeframe_of_when_bars_last_four_hours_then_lists_the_known_ones(
    write: Write, asked: str | None
) -> None:
    """There is no 4h timeframe, and no other one would be true of these bars."""
    opens = [TUESDAY, TUESDAY + 4 * HOUR]
    path = write(bars(opens, [ns + 4 * HOUR for ns in opens]))
    with pytest.raises(TapeError) as raised:
        timeframe(path, asked)
    assert str(raised.value) == (
        f"{path}: from ts_event_ns to ts_close_ns its bars usually last 14400 s; "
        "expected a known timeframe: 1s, 10s, 1min, 5min, 1hour, 1day"
    )


def test_timeframe_of_when_another_one_is_asked_for_then_refuses(write: Write) -> None:
    """One-minute bars do not become hours by being called so."""
    path = write(bars([TUESDAY], [TUESDAY + 60 * SECOND]))
    with pytest.raises(TapeError, match=r"its bars are 1min bars; the timeframe was '1hour'$"):
        timeframe(path, "1hour")


def test_timeframe_of_when_bars_have_one_time_then_it_must_be_given(write: Write) -> None:
    """From closes alone, bars with gaps could be of any length."""
    path = write(bars([], [TUESDAY]))
    with pytest.raises(TapeError, match="ts_close_ns alone does not say how long a bar lasts"):
        timeframe(path)
    assert timeframe(path, "5min") == "5min"


def test_timeframe_of_when_it_is_unknown_then_lists_the_known_ones(write: Write) -> None:
    """A spelling from elsewhere is corrected by the error."""
    path = write({"ts_event_ns": [SECOND], "symbol": ["A"], "price": [1.0]})
    with pytest.raises(TapeError, match="timeframe was '1m'; expected one of 1s, 10s, 1min"):
        timeframe(path, "1m")


def test_timeframe_of_when_ticks_say_nothing_then_is_a_second_or_what_is_asked(
    write: Write,
) -> None:
    """Ticks fit into bars of any length."""
    path = write({"ts_event_ns": [SECOND], "symbol": ["A"], "price": [1.0]})
    assert (timeframe(path), timeframe(path, "5min")) == ("1s", "5min")


@pytest.mark.parametrize("columns", [bars([], []), {"ts_event": [], "symbol": [], "price": []}])
def test_survey_when_there_are_no_rows_then_says_so(write: Write, columns: Columns) -> None:
    """A header alone is nothing to replay."""
    with pytest.raises(TapeError, match=r"the file has no rows; expected at least one$"):
        surveyed(write(columns), "1min")


def test_survey_when_parquet_has_no_rows_then_says_so(tmp_path: Path) -> None:
    """A query without a result may have been saved."""
    pa = batches.pa
    fields = [("ts_event_ns", pa.int64()), ("symbol", pa.string()), ("price", pa.float64())]
    pa.parquet.write_table(pa.schema(fields).empty_table(), tmp_path / "f.parquet")
    with pytest.raises(TapeError, match=r"the file has no rows; expected at least one$"):
        surveyed(tmp_path / "f.parquet")


def test_survey_when_bars_without_rows_have_both_times_then_says_so(write: Write) -> None:
    """The usual length of no bars is not asked for."""
    columns = {**bars([], []), "ts_event_ns": []}
    with pytest.raises(TapeError, match=r"the file has no rows; expected at least one$"):
        surveyed(write(columns))


@pytest.mark.parametrize("unit_ns", [10**3, 10**6, 10**9])
def test_survey_when_integers_are_of_another_unit_then_suspects_it(
    write: Write, unit_ns: int
) -> None:
    """Microseconds, milliseconds or seconds of 2026 would all lie in January 1970."""
    now = 1_767_571_200 * 10**9 // unit_ns
    path = write({"ts_event_ns": [now], "symbol": ["A"], "price": [1.0]})
    with pytest.raises(TapeError, match=r"expected nanoseconds, these look like another unit$"):
        surveyed(path)


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_survey_when_two_bars_meet_in_one_close_then_names_them(
    write: Write, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    """Two sessions of one symbol on one day cannot both be its daily bar."""
    monkeypatch.setattr(batches, "BATCH_ROWS", batch_rows)
    closes = [TUESDAY + 18 * HOUR, TUESDAY + 18 * HOUR, TUESDAY + 20 * HOUR, TUESDAY + 20 * HOUR]
    path = write(bars([TUESDAY] * 4, closes, "AB"), "f.parquet")
    with pytest.raises(TapeError) as raised:
        surveyed(path)
    assert str(raised.value) == (
        f"{path}: the bar of A in row 3 closes at 2012-09-04T20:00:00Z, the one before it at "
        "2012-09-04T18:00:00Z; expected one bar per symbol and 1day"
    )


def test_survey_when_a_bar_is_repeated_then_it_is_kept(write: Write) -> None:
    """An equal close is a duplicate, and those are for the bars stage to count."""
    found = surveyed(write(bars([TUESDAY] * 2, [TUESDAY + DAY] * 2)))
    assert (found.n_rows, found.closes_ns.tolist()) == (2, [TUESDAY + DAY])


def test_survey_when_bars_close_off_the_grid_then_notes_how_many(write: Write) -> None:
    """Of three daily bars one closes at midnight already."""
    closes = [TUESDAY + 20 * HOUR, TUESDAY + 44 * HOUR, TUESDAY + 72 * HOUR]
    opens = [TUESDAY + n * DAY for n in range(3)]
    found = surveyed(write(bars(opens, closes)))
    assert found.closes_ns.tolist() == [TUESDAY + n * DAY for n in (1, 2, 3)]
    assert found.notes == (
        "bars that close between two points of the 1day grid and are replayed at the later one: 2",
    )


@pytest.mark.parametrize(
    ("seq", "with_seq"),
    [
        ([1, 1, 2, 2, 3], True),
        ([1, 9, 2, 10, None], True),
        ([None, None, None, None, None], True),
        ([1, 1, 2, 1, 3], False),
        ([5, 1, 6, 2, 1], False),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_survey_when_seq_rises_for_every_symbol_then_it_is_an_identity(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    seq: list[int | None],
    with_seq: bool,  # noqa: FBT001  a parameter of the table above
    batch_rows: int,
) -> None:
    """A and B take turns; each has to rise by itself, and an empty cell says nothing."""
    monkeypatch.setattr(batches, "BATCH_ROWS", batch_rows)
    path = write(
        {"ts_event_ns": [TUESDAY] * 5, "symbol": list("ABABA"), "price": [1.0] * 5},
        "f.parquet",
    )
    table = batches.pa.parquet.read_table(path)
    table = table.append_column("seq", batches.pa.array(seq, batches.pa.int64()))
    batches.pa.parquet.write_table(table, path)
    assert surveyed(path).with_seq is with_seq


def test_survey_when_seq_restarts_then_notes_symbol_and_row(write: Write) -> None:
    """A recorder that counts per capture file starts again at row 3."""
    columns: Columns = {"ts_event_ns": [TUESDAY] * 3, "symbol": list("AAA")}
    found = surveyed(write({**columns, "price": [1.0] * 3, "seq": [7, 8, 1]}))
    assert found.notes == (
        "seq is left out: it does not rise for A at row 3, so it identifies no event",
    )


def test_survey_when_there_are_two_venues_then_ids_name_them(write: Write) -> None:
    """Each venue has its own ids, and a note says so."""
    columns: Columns = {"ts_event_ns": [TUESDAY] * 3, "symbol": ["B", "A", "B"]}
    found = surveyed(write({**columns, "venue": ["Y", "X", "X"], "price": [1.0] * 3}))
    assert found.symbols == ("A.X", "B.X", "B.Y")
    assert found.notes == ("ids are SYMBOL.VENUE: the file has 2 venues",)


def test_survey_when_rows_are_from_early_1970_then_notes_their_fate(write: Write) -> None:
    """A long history may begin where the wire takes times for a mistake of the unit."""
    path = write({"ts_event_ns": [DAY, TUESDAY], "symbol": ["A", "A"], "price": [1.0, 2.0]})
    (note,) = surveyed(path).notes
    assert note == (
        "trades before 1970-04-26T17:46:40Z, which no tick may be and which become dead letters: 1"
    )


def test_survey_when_there_is_one_venue_then_symbols_stay_as_they_are(write: Write) -> None:
    """An id need not name the only venue."""
    columns: Columns = {"ts_event_ns": [TUESDAY] * 2, "symbol": ["B", "A"]}
    found = surveyed(write({**columns, "venue": ["X", "X"], "price": [1.0] * 2}))
    assert (found.symbols, found.notes) == (("A", "B"), ())
