"""Times on the wire: RFC 3339 UTC text for people, integer nanoseconds inside."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from streams.errors import RecordError

NS_PER_SECOND = 1_000_000_000

# The first 116 days of 1970 are left out on purpose: an integer of seconds, milliseconds or
# microseconds lies there until 2286. After 2200 an int64 of nanoseconds nears its end.
EARLIEST_NS = 10**16
LATEST_NS = 7_258_118_400 * NS_PER_SECOND

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-]\d{2}:\d{2}))",
    re.ASCII,
)

TIMEFRAMES_NS = {
    "1s": NS_PER_SECOND,
    "10s": 10 * NS_PER_SECOND,
    "1min": 60 * NS_PER_SECOND,
    "5min": 300 * NS_PER_SECOND,
    "1hour": 3_600 * NS_PER_SECOND,
    "1day": 86_400 * NS_PER_SECOND,
}

# What is folded from shorter bars, for those who ask.
LONGER = ("5min", "1hour")


def longer_than(timeframe: str) -> tuple[str, ...]:
    """Return the timeframes that are folded from bars of another.

    Examples
    --------
    >>> longer_than("1min"), longer_than("5min"), longer_than("1day")
    (('5min', '1hour'), ('1hour',), ())
    """
    base_ns = TIMEFRAMES_NS[timeframe]
    return tuple(name for name in LONGER if TIMEFRAMES_NS[name] > base_ns)


def parse_ns(value: str | int) -> int:
    """Return nanoseconds since the epoch for an RFC 3339 text or an integer of nanoseconds.

    Raises
    ------
    RecordError
        ``BAD_TIMESTAMP`` if the text has no time zone or is no RFC 3339 time, or if the time lies
        outside 1970-04-26..2200 (an integer of seconds, milliseconds or microseconds does, so
        units are not guessed).

    Examples
    --------
    >>> parse_ns("2001-09-09T01:46:40.000000002Z")
    1000000000000000002
    """
    ns = value if isinstance(value, int) else _parse_text(value)
    if not EARLIEST_NS < ns < LATEST_NS:
        raise RecordError("BAD_TIMESTAMP", f"ts_event was {value!r}; expected 1970..2200, in ns")
    return ns


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> int:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise RecordError(
            "BAD_TIMESTAMP",
            f"ts_event was {text!r}; expected RFC 3339 such as 2026-01-02T03:04:05Z",
        )
    date, clock, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{offset or '+00:00'}")
    except ValueError as error:
        raise RecordError("BAD_TIMESTAMP", f"ts_event was {text!r}: {error}") from error
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * NS_PER_SECOND + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=4096)
def format_ns(ns: int) -> str:
    """Return RFC 3339 UTC text with as many fractional digits as the time has.

    Examples
    --------
    >>> format_ns(1_500_000_000), format_ns(86_400_000_000_000)
    ('1970-01-01T00:00:01.5Z', '1970-01-02T00:00:00Z')
    """
    seconds, rest = divmod(ns, NS_PER_SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{f'{rest:09d}'.rstrip('0')}Z" if rest else f"{text}Z"
