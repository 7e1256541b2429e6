"""What the bars stage remembers: ticks of every type, counts, epochs, and its bytes."""

import cramjam
import msgspec
import numpy as np
import pytest

from models.bars import BarState, OpenBar, advance
from streams.codec import StateError
from streams.errors import RecordError
from streams.records import EpochNotice, Tick
from streams.slices import Counts
from tables.bars import BarsKept, add_tick, bar_columns
from tests.builders import CLOCK, MIDNIGHT, MINUTE, SECOND
from tests.strategies import RULES

CLOSE = MIDNIGHT + MINUTE
WHOLE = {"open": 1, "high": 4, "low": 1, "close": 2}


def running() -> BarsKept:
    """Give a snapshot whose clock stands at midnight."""
    kept = BarsKept()
    advance(kept.state, RULES, 0, MIDNIGHT + RULES.lateness_ns)
    return kept


def test_add_when_each_type_comes_then_lands_in_its_bar() -> None:
    """A trade moves price and volume, a quote the middle, integers count as numbers."""
    kept = running()
    assert add_tick(kept, RULES, Tick("AAA", MIDNIGHT + 1, price=10, size=3)) is None
    quote = Tick("AAA", "2024-01-02T00:00:30Z", type="quote", bid=11, ask=12)
    assert add_tick(kept, RULES, quote) is None
    bar = kept.state.bars[CLOSE]["AAA"]
    assert (bar.open, bar.close, bar.volume, bar.n_ticks) == (10.0, 11.5, 3.0, 2)
    assert all(type(value) is float for value in (bar.open, bar.high, bar.volume))
    assert add_tick(kept, RULES, Tick("BBB", CLOSE, type="bar", **WHOLE, volume=7)) is None
    assert kept.state.bars[CLOSE]["BBB"].volume == 7.0


def test_add_when_the_time_cannot_be_read_then_raises() -> None:
    """An unreadable time is an error of the record, not a refusal of the bar."""
    with pytest.raises(RecordError, match="BAD_TIMESTAMP"):
        add_tick(running(), RULES, Tick("AAA", 1_704_153_601, price=10))


@pytest.mark.parametrize(
    ("timeframe", "code"),
    [(None, None), ("1min", None), ("5min", "WRONG_TIMEFRAME"), ("7min", "WRONG_TIMEFRAME")],
)
def test_add_when_a_bar_names_its_timeframe_then_it_must_be_the_stacks(
    timeframe: str | None, code: str | None
) -> None:
    """Five minutes are not one, though both end on the grid."""
    refused = add_tick(running(), RULES, Tick("A", CLOSE, type="bar", timeframe=timeframe, **WHOLE))
    assert (refused and refused.code) == code


@pytest.mark.parametrize(
    ("first", "second", "is_repeat"),
    [
        ({"trade_id": "7"}, {"trade_id": "7"}, True),
        ({"trade_id": 7}, {"trade_id": "7"}, True),
        ({"seq": 7}, {"seq": 7}, True),
        ({"trade_id": 7, "seq": 1}, {"trade_id": 7, "seq": 2}, True),
        ({"trade_id": 7}, {"seq": 7}, False),
        ({"trade_id": 7, "venue": "X"}, {"trade_id": 7, "venue": "Y"}, False),
        ({"trade_id": "b:c", "venue": "a"}, {"trade_id": "c", "venue": "a:b"}, False),
        ({}, {}, False),
    ],
)
def test_add_when_ids_are_compared_then_venue_and_kind_keep_them_apart(
    first: dict[str, str | int],
    second: dict[str, str | int],
    is_repeat: bool,  # noqa: FBT001  the expected value
) -> None:
    """Equal (venue, trade id) or equal (venue, sequence) is a duplicate; nothing else is."""
    kept = running()
    add_tick(
        kept,
        RULES,
        msgspec.convert({"symbol": "A", "ts_event": MIDNIGHT, "price": 1} | first, Tick),
    )
    again = add_tick(
        kept,
        RULES,
        msgspec.convert({"symbol": "A", "ts_event": MIDNIGHT, "price": 1} | second, Tick),
    )
    assert (again is not None) == is_repeat


def test_counts_when_taken_then_begin_anew() -> None:
    """Counts are those since the last slice."""
    kept = BarsKept()
    for name in ("n_in", "n_in", "n_late"):
        kept.count(name)
    assert kept.take_counts() == Counts(n_in=2, n_late=1)
    assert kept.take_counts() == Counts()


def test_epoch_when_its_close_has_passed_then_the_next_decides() -> None:
    """An epoch decides from the first close behind its announcement's, and is never taken back."""
    notices = [
        EpochNotice(clock_id=CLOCK, epoch=n, digest=str(n), from_close_ns=from_close)
        for n, from_close in ((1, 0), (2, 100), (3, 200))
    ]
    kept = BarsKept(epochs=list(notices))
    assert [kept.epoch_for(close).epoch for close in (50, 100, 101, 200)] == [1, 1, 2, 2]
    assert kept.epoch_for(1_000).epoch == 3
    assert kept.epochs == notices[2:]
    assert BarsKept(epochs=list(notices)).epoch_for(201).epoch == 3


def test_decode_when_encoded_then_is_the_same_snapshot() -> None:
    """Open bars, ids, counts and epochs survive, and so do their bytes."""
    kept = running()
    kept.epochs.append(EpochNotice(clock_id=CLOCK, epoch=1, digest="d", from_close_ns=0))
    kept.count("n_in")
    kept.first_offset = 7
    for second in range(5):
        tick = Tick("ABC"[second % 3], MIDNIGHT + second * SECOND, price=second + 1, seq=second)
        assert add_tick(kept, RULES, tick) is None
    back = BarsKept.decode(kept.encode())
    assert back == kept
    assert back.encode() == kept.encode()
    assert isinstance(back.state, BarState)


@pytest.mark.parametrize("data", [b"", b"garbage", bytes(cramjam.zstd.compress(b"\xc1"))])
def test_decode_when_bytes_are_no_snapshot_then_says_so(data: bytes) -> None:
    """Another version's table is named as such."""
    with pytest.raises(StateError, match="no snapshot of bars"):
        BarsKept.decode(data)


def test_columns_when_bars_are_given_then_keep_rows_types_and_order() -> None:
    """Rows are the places in the chunk; a bar without a reachable trade has NaN."""
    bar = OpenBar(1, 1.0, 4.0, 0.5, 9, 2.0, 10.0, 15.0, 3.0, 2, -1, 1.0)
    filled = OpenBar(1, 1.0, 1.0, 1.0, 9, 1.0, 0.0, 0.0, 1.0, 1, 5, 1.0)
    columns = bar_columns([(0, "AAA", bar), (4, "EEE", filled)])
    assert columns.symbol == ["AAA", "EEE"]
    assert columns.row.tolist() == [0, 4]
    assert columns.row.dtype == np.int32
    assert columns.vwap.tolist() == [1.5, 1.0]
    assert columns.n_ticks.tolist() == [2, 1]
    np.testing.assert_array_equal(columns.fill_price, [np.nan, 1.0])
    assert bar_columns([]).close.shape == (0,)
