"""Times on the wire against the standard library's calendar, to the nanosecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import RecordError
from streams.timestamps import (
    EARLIEST_NS,
    LATEST_NS,
    NS_PER_SECOND,
    TIMEFRAMES_NS,
    format_ns,
    parse_ns,
)

MOMENTS = st.integers(EARLIEST_NS + 1, LATEST_NS - 1)


@given(MOMENTS)
def test_parse_when_a_time_was_formatted_then_is_the_same_nanosecond(ns: int) -> None:
    """Text and integer say the same time, in every digit."""
    assert parse_ns(format_ns(ns)) == parse_ns(ns) == ns


@given(MOMENTS)
def test_format_when_compared_with_the_calendar_then_agrees(ns: int) -> None:
    """The standard library prints the same second."""
    seconds, rest = divmod(ns, NS_PER_SECOND)
    text = format_ns(ns)
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert text.startswith(expected.strftime("%Y-%m-%dT%H:%M:%S"))
    assert text.endswith("Z")
    assert (len(text) == len("2024-01-01T00:00:00Z")) == (rest == 0)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2199, 12, 30)),  # noqa: DTZ001  zones come beside
    st.integers(-23 * 60, 23 * 60),
)
def test_parse_when_a_zone_is_given_then_subtracts_it(naive: datetime, minutes: int) -> None:
    """A local time with its offset is the same moment as in UTC."""
    moment = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert parse_ns(moment.isoformat()) == expected * NS_PER_SECOND


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-01-02T00:00:00Z", 1_704_153_600_000_000_000),
        ("2024-01-02t00:00:00z", 1_704_153_600_000_000_000),
        ("2024-01-02 00:00:00.1+00:00", 1_704_153_600_100_000_000),
        ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999_999_999),
        ("2024-01-02T00:00:00-00:00", 1_704_153_600_000_000_000),
    ],
)
def test_parse_when_written_in_another_allowed_way_then_reads_it(text: str, ns: int) -> None:
    """RFC 3339 leaves letters, the space and the fraction's length to the writer."""
    assert parse_ns(text) == ns


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2024-01-02",
        "2024-01-02T00:00:00",
        "2024-01-02T00:00Z",
        "2024-01-02T00:00:00.Z",
        "2024-01-02T00:00:00.1234567890Z",
        "2024-02-30T00:00:00Z",
        "2024-01-02T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2024-01-02T00:00:00+24:00",
        "2024-01-02T00:00:00Z\n",
        "2024-01-02T00:00:00.\u0661Z",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "1704153600000000000",
        0,
        -1,
        LATEST_NS,
        10**400,
    ],
)
def test_parse_when_it_is_no_usable_time_then_refuses(value: str | int) -> None:
    """Half a time, a wrong calendar day, a leap second or the far future are named, not guessed."""
    with pytest.raises(RecordError) as refused:
        parse_ns(value)
    assert refused.value.reason == "BAD_TIMESTAMP"


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6])
def test_parse_when_the_integer_is_not_in_nanoseconds_then_refuses(per_second: int) -> None:
    """Today in seconds, milliseconds or microseconds is not silently a day in 1970."""
    with pytest.raises(RecordError, match="BAD_TIMESTAMP"):
        parse_ns(1_704_153_600 * per_second)


def test_timeframes_when_compared_then_divide_a_day() -> None:
    """Bars of every timeframe end at midnight, so their grids meet."""
    assert all(TIMEFRAMES_NS["1day"] % length == 0 for length in TIMEFRAMES_NS.values())
    assert list(TIMEFRAMES_NS.values()) == sorted(TIMEFRAMES_NS.values())
