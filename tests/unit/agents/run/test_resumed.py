"""What of an interrupted replay is there: the first records of each partition and of each key."""

from collections import Counter

from agents.run.resumed import Sent


def test_sent_when_some_is_there_then_the_rest_is_sent() -> None:
    """The first of a partition are left out, and nothing of one that has none."""
    sent = Sent(ticks=Counter({0: 2}))
    assert [sent.holds_tick(0) for _ in range(4)] == [True, True, False, False]
    assert not sent.holds_tick(1)


def test_sent_when_people_spoke_then_is_counted_by_whom_they_spoke_to() -> None:
    """A record without a key is nobody's, and has a place of its own."""
    sent = Sent(people=Counter({b"main": 1, None: 1}))
    assert sent.holds_word(b"main")
    assert not sent.holds_word(b"other")
    assert not sent.holds_word(b"main")
    assert sent.holds_word(None)
