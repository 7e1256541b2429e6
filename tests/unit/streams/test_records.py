"""Records of the edges: what is refused before it can enter a state."""

from typing import Any

import msgspec
import pytest

from streams.errors import RecordError
from streams.records import ClockRecord, EpochNotice, Heartbeat, Tick, read_json
from streams.timestamps import LATEST_NS

CLOCK_RECORD = msgspec.json.Decoder(ClockRecord)


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -float("inf"), -0.0])
def test_check_when_a_price_is_no_number_then_refuses(price: float) -> None:
    """A tick that was not read from JSON may hold what JSON cannot say."""
    with pytest.raises(RecordError, match="BAD_PRICE"):
        Tick("AAA", 1, price=price).check()


@pytest.mark.parametrize("size", [float("nan"), float("inf"), -1e-9])
def test_check_when_a_size_is_no_number_then_refuses(size: float) -> None:
    """A size is absent, zero or a finite number."""
    with pytest.raises(RecordError, match="BAD_SIZE"):
        Tick("AAA", 1, price=1.0, size=size).check()


def test_check_when_a_tick_is_good_then_says_nothing() -> None:
    """Silence is consent, for each of the three types."""
    Tick("AAA", 1, price=1.0).check()
    Tick("AAA", 1, type="quote", bid=1.0, ask=2.0).check()
    Tick("AAA", 1, type="bar", open=1.0, high=2.0, low=1.0, close=2.0, volume=5).check()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "NOT_JSON"),
        (b'{"type":"heartbeat"', "NOT_JSON"),
        (b'{"type":"heartbeat","clock_id":"\xff","n":1,"ts_event_ns":1}', "NOT_JSON"),
        (b'{"type":"heartbeat","x":' + b"[" * 100_000, "NOT_JSON"),
        (b'{"type":"alarm"}', "WRONG_TYPE"),
        (b'{"clock_id":"c","n":1,"ts_event_ns":1}', "WRONG_TYPE"),
        (b'{"type":"heartbeat","clock_id":"c","n":-1,"ts_event_ns":1}', "WRONG_TYPE"),
        (b'{"type":"heartbeat","clock_id":"c","n":1,"ts_event_ns":-1}', "WRONG_TYPE"),
        (b'{"type":"heartbeat","clock_id":"c","n":9223372036854775808,"ts_event_ns":1}', None),
        (b'{"type":"heartbeat","clock_id":"c","n":1,"ts_event_ns":9000000000000000000}', None),
        (b'{"type":"epoch","clock_id":"c","epoch":-1,"digest":"d","from_close_ns":1}', None),
    ],
)
def test_read_json_when_a_clock_record_is_absurd_then_refuses(
    raw: bytes, reason: str | None
) -> None:
    """What the bars stage remembers of a clock fits 64 bits and lies before 2200."""
    with pytest.raises(RecordError) as refused:
        read_json(CLOCK_RECORD, raw)
    assert refused.value.reason == (reason or "WRONG_TYPE")


@pytest.mark.parametrize(
    "said",
    [
        Heartbeat(clock_id="c", n=2**63 - 1, ts_event_ns=LATEST_NS),
        EpochNotice(clock_id="c", epoch=1, digest="d", from_close_ns=0),
    ],
)
def test_read_json_when_a_clock_speaks_then_is_understood(said: ClockRecord) -> None:
    """Both records of the clock survive the wire, and their tag tells them apart."""
    back: Any = read_json(CLOCK_RECORD, msgspec.json.encode(said))
    assert back == said
