"""Trading sessions for an epoch: computed when it is made, kept by digest, read by the fold.

The calendar library is asked here and nowhere else: its next release may correct a session, and
what was decided by the old one must stay decided.
"""

import warnings
from collections.abc import Iterable
from datetime import UTC, datetime

from models.risk.sessions import DAY_NS, Sessions
from streams.epochs import AROUND_THE_CLOCK, Instrument
from streams.errors import SettingsError
from streams.timestamps import NS_PER_SECOND
from tables.calendars import encode_sessions
from tables.stores.artifacts import Artifacts

# Sessions before and after what is traded: the day before the first bar, orders behind the last.
_MARGIN_NS = 14 * DAY_NS

# A live epoch is good for a year and more; its stretch moves in steps, so that the same settings
# give the same epoch from one day to the next.
_LIVE_STEP_NS = 370 * DAY_NS


def calendars_of(
    instruments: Iterable[Instrument], first_ns: int, last_ns: int, artifacts: Artifacts
) -> dict[str, str]:
    """Keep the sessions of all calendars that instruments name; return their digests by name.

    Raises
    ------
    SettingsError
        If a name is no calendar; the message names the instrument's key.
    """
    names = sorted({i.calendar for i in instruments} - {AROUND_THE_CLOCK})
    return {
        name: artifacts.put_json(
            encode_sessions(name, sessions_of(name, first_ns - _MARGIN_NS, last_ns + _MARGIN_NS))
        )
        for name in names
    }


def live_stretch(now_ns: int) -> tuple[int, int]:
    """Return the first and last time for which a live epoch needs sessions.

    Examples
    --------
    >>> first, last = live_stretch(20_000 * DAY_NS)
    >>> (20_000 - first // DAY_NS, last // DAY_NS - 20_000)
    (390, 720)
    """
    first_ns = (now_ns // _LIVE_STEP_NS - 1) * _LIVE_STEP_NS
    return first_ns, first_ns + 3 * _LIVE_STEP_NS


def sessions_of(name: str, first_ns: int, last_ns: int) -> Sessions:
    """Return the sessions of a calendar between two times.

    Raises
    ------
    SettingsError
        If the library knows no calendar of that name.
    """
    # Imported here: only epochs with sessions need the library.
    import exchange_calendars  # noqa: PLC0415  heavy

    try:
        with warnings.catch_warnings():
            # What the library still uses of pandas is its own affair.
            warnings.simplefilter("ignore", DeprecationWarning)
            calendar = exchange_calendars.get_calendar(
                name, start=_day(first_ns), end=_day(last_ns)
            )
    except exchange_calendars.errors.InvalidCalendarName as error:
        raise SettingsError(
            f"instruments.*.calendar was {name!r}; expected {AROUND_THE_CLOCK} or a name of "
            "exchange_calendars, such as XNYS"
        ) from error
    return Sessions(
        tuple(int(moment.value) for moment in calendar.opens),
        tuple(int(moment.value) for moment in calendar.closes),
    )


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_SECOND, UTC).strftime("%Y-%m-%d")
