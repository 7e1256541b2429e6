"""Sessions by hand: open and closed, covered or not, and which day it is."""

from models.risk.sessions import DAY_NS, Sessions, day_of

WEEK = Sessions((10, 30, 50), (20, 40, 60))


def test_open_when_at_the_bell_then_opens_and_no_longer_is_open() -> None:
    """The opening belongs to the session, the closing does not."""
    assert [WEEK.is_open(at) for at in (9, 10, 19, 20, 29, 30, 59, 60)] == [
        False,
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert not Sessions((), ()).is_open(5)


def test_covers_when_the_calendar_has_ended_then_knows_nothing() -> None:
    """From the first opening until the last closing."""
    assert [WEEK.covers(at) for at in (9, 10, 25, 59, 60)] == [False, True, True, True, False]
    assert not Sessions((), ()).covers(5)


def test_day_when_a_bar_closes_at_midnight_then_is_of_the_day_before() -> None:
    """UTC days end with their midnight; sessions begin with their opening."""
    assert [day_of(None, at) for at in (1, DAY_NS, DAY_NS + 1, 2 * DAY_NS)] == [0, 0, 1, 1]
    assert [day_of(WEEK, at) for at in (10, 11, 25, 30, 31, 99)] == [0, 1, 1, 1, 2, 3]
