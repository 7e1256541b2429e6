"""Exact numbers, times and ids, as the contracts define them."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

E8 = 10**8
E16 = 10**16
DAY_NS = 86_400 * 10**9
TIMEFRAMES_NS = {
    "1s": 10**9,
    "10s": 10 * 10**9,
    "1min": 60 * 10**9,
    "5min": 300 * 10**9,
    "1hour": 3_600 * 10**9,
    "1day": DAY_NS,
}

_SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "tradewind.decisions")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(.{10})[Tt ](.{8})(?:\.(\d{1,9}))?(?:[Zz]|([+-]\d\d:\d\d))", re.ASCII)


def whole(number: object, scale: int) -> int:
    """Return a decimal number as an integer of 1/scale.

    Raises
    ------
    ValueError
        If it is no number, or has more decimals than the scale.

    Examples
    --------
    >>> whole("-1.25", E8), whole(Decimal("3e-16"), E16)
    (-125000000, 3)
    """
    try:
        scaled = Fraction(Decimal(str(number))) * scale
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError(f"{number!r} is no decimal number") from None
    if scaled.denominator != 1:
        raise ValueError(f"{number} has more decimals than 1/{scale}")
    return int(scaled)


def rounded(number: object) -> int:
    """Return a decimal number as an integer of 1e-8, half to even.

    Examples
    --------
    >>> rounded("0.000000015"), rounded("0.000000025")
    (2, 2)
    """
    return round(Fraction(Decimal(str(number))) * E8)


def text(money: int) -> str:
    """Return money (integer of 1e-16) as decimal text.

    Examples
    --------
    >>> text(-12_500_000_000_000_000), text(1)
    ('-1.25', '0.0000000000000001')
    """
    sign, size = "-" if money < 0 else "", abs(money)
    decimals = f"{size % E16:016d}".rstrip("0")
    return f"{sign}{size // E16}" + (f".{decimals}" if decimals else "")


def time_ns(value: object) -> int:
    """Return nanoseconds since 1970 of an RFC 3339 text or of an integer of them.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> time_ns("1970-01-02T01:00:00.5+01:00") - DAY_NS
    500000000
    """
    return value if isinstance(value, int) else _read_time(str(value))


@lru_cache(maxsize=4096)
def _read_time(value: str) -> int:
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no time")
    date, clock, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{zone or '+00:00'}")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))


def time_text(ns: int) -> str:
    """Return a time as text.

    Examples
    --------
    >>> time_text(DAY_NS + 1)
    '1970-01-02T00:00:00.000000001Z'
    """
    moment = _EPOCH + timedelta(seconds=ns // 10**9)
    decimals = f"{ns % 10**9:09d}".rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{decimals}" if decimals else "") + "Z"


def slot_id(portfolio: str, timeframe: str, close_ns: int, symbol: str) -> str:
    """Return the id of the decision of a slot."""
    return str(uuid.uuid5(_SPACE, f"{portfolio}\x1f{timeframe}\x1f{close_ns}\x1f{symbol}"))


def intent_id(portfolio: str, intent: str, day: int) -> str:
    """Return the id of the decision about an order intent that was taken on a day of the book."""
    return str(uuid.uuid5(_SPACE, f"{portfolio}\x1e{intent}\x1e{day}"))


def paper_id(decision_id: str, kind: str, close_ns: int) -> str:
    """Return the id of what happened on paper to the order of a decision."""
    return str(uuid.uuid5(_SPACE, f"{decision_id}\x1f{kind}\x1f{close_ns}"))


def venue_id(portfolio: str, execution: str, part: str) -> str:
    """Return the id under which a venue's execution is published."""
    return str(uuid.uuid5(_SPACE, f"{portfolio}\x1e{execution}\x1e{part}"))
