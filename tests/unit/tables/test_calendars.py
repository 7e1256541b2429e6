"""Calendars survive their document, and what is none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.risk.sessions import Sessions
from streams.errors import SettingsError
from tables.calendars import decode_sessions, encode_sessions

SECOND = 10**9


@given(st.lists(st.integers(1, 10**6), max_size=40))
def test_decode_when_encoded_then_is_the_same_calendar(steps: list[int]) -> None:
    """Any rising times of whole seconds come back."""
    times = [sum(steps[: n + 1]) * SECOND for n in range(len(steps) // 2 * 2)]
    sessions = Sessions(tuple(times[::2]), tuple(times[1::2]))
    assert decode_sessions(encode_sessions("XNYS", sessions)) == sessions


@pytest.mark.parametrize(
    "document", [{}, [], None, {"steps_s": [1]}, {"steps_s": [5, -1]}, {"steps_s": ["1", "2"]}]
)
def test_decode_when_it_is_no_calendar_then_says_so(document: object) -> None:
    """An artefact of something else stops the stage that would decide by it."""
    with pytest.raises(SettingsError, match="is no calendar"):
        decode_sessions(document)
