"""Times on the command line: said as the option that had them, not as a field of a tick."""

import pytest

from agents.cli.times import asked_ns, asked_place
from streams.errors import SettingsError


@pytest.mark.parametrize("text", ["gestern", "2026-01-02", "2026-01-02T03:04:05", "17", ""])
def test_asked_when_it_is_no_time_then_names_the_option_and_an_example(text: str) -> None:
    """A day without a clock or a zone could be any of several moments."""
    with pytest.raises(SettingsError) as caught:
        asked_ns("--until", text)
    assert str(caught.value).startswith(f"--until was {text!r}; expected an RFC 3339 time")
    assert "2026-01-02T03:04:05Z" in str(caught.value)


def test_asked_when_it_is_a_time_then_is_nanoseconds() -> None:
    """2001-09-09T01:46:40Z is the 1,000,000,000th second; an offset is a place in a topic."""
    assert asked_ns("--until", "2001-09-09T03:46:40+02:00") == 10**18
    assert asked_ns("--until", None) is None
    assert asked_place("--from", "17") == "17"
    assert asked_place("--from", None) is None
    assert asked_place("--from", "2001-09-09T01:46:40Z") == "2001-09-09T01:46:40Z"
    with pytest.raises(SettingsError, match="--to was 'now'"):
        asked_place("--to", "now")
