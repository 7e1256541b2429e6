"""Times that a person gives to a command."""

from streams.errors import RecordError, SettingsError
from streams.timestamps import parse_ns


def asked_ns(option: str, text: str | None) -> int | None:
    """Return the time that an option names, in ns; None where it was not given.

    Raises
    ------
    SettingsError
        If it is no RFC 3339 time between 1970 and 2200.

    Examples
    --------
    >>> asked_ns("--until", "2001-09-09T01:46:40Z")
    1000000000000000000
    """
    try:
        return None if text is None else parse_ns(text)
    except RecordError as error:
        raise SettingsError(
            f"{option} was {text!r}; expected an RFC 3339 time between 1970 and 2200, such as "
            "2026-01-02T03:04:05Z"
        ) from error


def asked_place(option: str, text: str | None) -> str | None:
    """Return what an option names in a topic: an offset, or a time, checked as a time is.

    Raises
    ------
    SettingsError
        If it is neither.

    Examples
    --------
    >>> asked_place("--to", "17")
    '17'
    """
    if text is not None and not text.isdecimal():
        asked_ns(option, text)
    return text
