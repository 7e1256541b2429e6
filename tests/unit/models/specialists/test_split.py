"""The seams between training, validation and held-back bars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import HistoryTooShort
from models.specialists import split as splitting


@given(st.integers(0, 500), st.integers(600, 10_000))
def test_split_when_long_enough_then_no_label_reaches_the_next_stretch(
    first: int, length: int
) -> None:
    """Each stretch ends a label and an embargo before the next, and the last bar has no label."""
    n_bars = first + length
    parts = splitting.split(first, n_bars)
    gap = splitting.LABEL_BARS + splitting.EMBARGO_BARS
    assert parts.training.start == first
    assert parts.training.stop + gap == parts.validation.start
    assert parts.validation.stop + gap == parts.held_back.start
    assert parts.held_back.stop == n_bars - splitting.LABEL_BARS
    for part in parts:
        assert part.stop - part.start >= splitting.MIN_STRETCH_BARS - 1


@given(st.integers(0, 500), st.integers(100, 10_000))
def test_halves_when_cut_then_each_is_scored_by_what_keeps_away_from_it(
    first: int, length: int
) -> None:
    """All bars are scored once; between a half and what learns for it lie label and embargo."""
    gap = splitting.LABEL_BARS + splitting.EMBARGO_BARS
    early, late = splitting.halves(slice(first, first + length))
    assert (early.scored.start, late.scored.stop) == (first, first + length)
    assert early.scored.stop == late.scored.start
    assert (early.training.start - early.scored.stop, early.training.stop) == (gap, first + length)
    assert (late.training.start, late.scored.start - late.training.stop) == (first, gap)


def test_split_when_too_short_then_says_how_many_bars_are_missing() -> None:
    """(60 + 22) / 0.15 = 547 bars and one more are needed, beside the one without a label."""
    with pytest.raises(HistoryTooShort, match=r"^448 bars are missing: 548 .* was 100 of 301"):
        splitting.split(200, 301)
    assert splitting.split(0, 549).training.start == 0
