"""Numbers and times as people read them: filters of the templates."""

from decimal import Decimal

from streams.timestamps import LATEST_NS, format_ns

_NS_PER_MS = 1_000_000
_DIGITS = 6
_DECIMALS = (2, 8)


def price_text(price: float) -> str:
    """Return a price with about six digits, and at least two decimals.

    Examples
    --------
    >>> price_text(187.34), price_text(1.08345), price_text(67000.125)
    ('187.340', '1.08345', '67,000.12')
    """
    whole = len(str(int(abs(price)))) if abs(price) < 10**_DIGITS else _DIGITS
    decimals = min(max(_DIGITS - whole, _DECIMALS[0]), _DECIMALS[1])
    return f"{price:,.{decimals}f}"


def quantity_text(quantity: float) -> str:
    """Return a quantity with groups of thousands, and decimals only where it has some.

    Examples
    --------
    >>> quantity_text(1200), quantity_text(0.125)
    ('1,200', '0.125')
    """
    text = f"{quantity:,.8f}".rstrip("0")
    return text.rstrip(".")


def signed_quantity_text(quantity: float) -> str:
    """Return a change of a quantity with its sign.

    Examples
    --------
    >>> signed_quantity_text(-40.0), signed_quantity_text(0.5)
    ('-40', '+0.5')
    """
    return f"{'+' if quantity > 0 else ''}{quantity_text(quantity)}"


def percent_text(fraction: float, decimals: int = 1) -> str:
    """Return a fraction in hundredths.

    Examples
    --------
    >>> percent_text(0.2512).split()
    ['25.1', '%']
    """
    return f"{100 * fraction:.{decimals}f}\N{NO-BREAK SPACE}%"


def money_text(money: str) -> str:
    """Return exact decimal text rounded to hundredths, with groups of thousands.

    Examples
    --------
    >>> money_text("-1234567.895")
    '-1,234,567.90'
    """
    return f"{Decimal(money):,.2f}"


def feature_text(value: float) -> str:
    """Return a feature with six significant digits.

    Examples
    --------
    >>> feature_text(-0.000123456789), feature_text(50.0)
    ('-0.000123457', '50')
    """
    return f"{value:.6g}"


def time_text(timestamp: str) -> str:
    """Return an RFC 3339 time in UTC without its letters.

    Examples
    --------
    >>> time_text("2026-01-02T21:00:00Z")
    '2026-01-02 21:00:00'
    """
    return timestamp.removesuffix("Z").replace("T", " ")


def kafka_time_text(timestamp_ms: int) -> str:
    """Return Kafka's milliseconds since the epoch as RFC 3339 text.

    Examples
    --------
    >>> kafka_time_text(1500)
    '1970-01-01T00:00:01.5Z'
    """
    ns = timestamp_ms * _NS_PER_MS
    # Producers choose it: a time that no calendar has is shown as the number that it is.
    return format_ns(ns) if 0 <= ns < LATEST_NS else f"{timestamp_ms} ms"


def header_text(value: bytes) -> str:
    r"""Return a header's bytes: as text where they are printable, else as a literal; cut at 200.

    Examples
    --------
    >>> header_text(b"17"), header_text(bytes([255]))
    ('17', "b'\\xff'")
    """
    shown = value[:200]
    try:
        text = shown.decode()
    except UnicodeDecodeError:
        return repr(shown)
    return text if text.isprintable() else repr(shown)
