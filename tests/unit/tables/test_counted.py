"""What of a run counts behind a close: by a portfolio's first bar, not by the time that is said."""

import pytest

from tables.counted import Counted

CLOSE = 1_700_000_000_000_000_000
BAR = 60_000_000_000

# (portfolio, bars behind the close, id, made by a bar), in the order of a log, and what counts.
LOG = [
    ("a", -1, "a1", True, False),
    ("a", 0, "a2", True, False),
    # A wish that came before the bar behind the close was decided, with a clock that is ahead.
    ("a", 2, "a3", False, False),
    ("b", 0, "b1", True, False),
    ("a", 1, "a4", True, True),
    # The other portfolio has no bar behind the close yet.
    ("b", 1, "b2", False, False),
    ("a", 0, "a5", False, True),
    # Said again behind a restart: it counts as it did.
    ("a", 0, "a2", True, False),
    ("a", 2, "a3", False, False),
    ("a", 1, "a4", True, True),
    ("b", 2, "b3", True, True),
]


def test_decisions_when_a_range_begins_in_the_middle_then_count_from_its_first_bar_on() -> None:
    """Each portfolio for itself."""
    counted = Counted(CLOSE)
    for portfolio, n_bars, name, is_bar, holds in LOG:
        found = counted.holds(portfolio, CLOSE + n_bars * BAR, name, is_bar=is_bar)
        assert found is holds, name


@pytest.mark.parametrize("is_bar", [True, False])
def test_decisions_when_all_of_a_run_counts_then_each_does(*, is_bar: bool) -> None:
    """Behind no close stands everything."""
    assert Counted(-1).holds("a", 0, "a1", is_bar=is_bar)
