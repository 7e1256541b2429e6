"""Sessions of real exchanges, by what is known of them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.run.calendars import calendars_of, sessions_of
from models.risk.sessions import DAY_NS
from streams.epochs import Instrument
from streams.errors import SettingsError
from tables.calendars import decode_sessions
from tables.stores.artifacts import Artifacts


def ns(text: str) -> int:
    """Return nanoseconds of an RFC 3339 text."""
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 10**9


FIRST, LAST = ns("2024-07-01T00:00:00+00:00"), ns("2024-07-08T00:00:00+00:00")


def test_sessions_when_it_is_new_york_in_july_then_know_the_holiday_and_the_half_day() -> None:
    """Open 9:30 to 16:00 in New York, until 13:00 on July 3rd, closed on the 4th."""
    hours = sessions_of("XNYS", FIRST, LAST)
    for text, is_open in (
        ("2024-07-02T09:29:59-04:00", False),
        ("2024-07-02T09:30:00-04:00", True),
        ("2024-07-02T15:59:59-04:00", True),
        ("2024-07-02T16:00:00-04:00", False),
        ("2024-07-03T13:00:00-04:00", False),
        ("2024-07-04T11:00:00-04:00", False),
        ("2024-07-05T11:00:00-04:00", True),
        ("2024-07-06T11:00:00-04:00", False),
    ):
        assert hours.is_open(ns(text)) is is_open, text


def test_calendars_when_instruments_name_some_then_are_kept_by_digest(tmp_path: Path) -> None:
    """Each calendar once, with a margin around what is traded; 24/7 has none."""
    artifacts = Artifacts(tmp_path)
    instruments = [
        Instrument(id="AAA", calendar="XNYS"),
        Instrument(id="BBB", calendar="XNYS"),
        Instrument(id="CCC"),
    ]
    found = calendars_of(instruments, FIRST, LAST, artifacts)
    assert list(found) == ["XNYS"]
    kept = decode_sessions(artifacts.load_json(found["XNYS"]))
    assert kept.covers(FIRST - 10 * DAY_NS)
    assert kept.covers(LAST + 10 * DAY_NS)


def test_sessions_when_the_name_is_no_calendar_then_says_what_is() -> None:
    """A slip in the settings is told before anything starts."""
    with pytest.raises(SettingsError, match="'XNXX'; expected 24/7 or a name"):
        sessions_of("XNXX", FIRST, LAST)
