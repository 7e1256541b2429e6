"""Geometry of the figures, against values worked out by hand."""

import math

import pytest

from tables.views.figures import columns, waterfall


def test_waterfall_when_parts_go_both_ways_then_each_begins_where_the_one_before_ended() -> None:
    """0.2 + 0.6 - 0.3 - 0.1 = 0.4, in a box from 0.2 to 0.8 that is 60 wide: 100 px per log odd."""
    drawn = waterfall(0.2, {"trend": -0.3, "volume": 0.6, "past_bars": -0.1}, 60.0)
    assert [(step.name, step.x, step.width) for step in drawn.steps] == [
        ("volume", 0.0, 60.0),
        ("trend", 30.0, 30.0),
        ("past_bars", 20.0, 10.0),
    ]
    assert drawn.base_x == 0.0
    assert drawn.end == pytest.approx(0.4)
    assert drawn.end_x == 20.0


def test_waterfall_when_all_parts_are_negative_then_the_base_is_at_the_right() -> None:
    """From 0 by -1 and -3 to -4: 25 px per log odd in a box of 100."""
    drawn = waterfall(0.0, {"a": -1.0, "b": -3.0}, 100.0)
    assert [(step.name, step.x, step.width) for step in drawn.steps] == [
        ("b", 25.0, 75.0),
        ("a", 0.0, 25.0),
    ]
    assert (drawn.base_x, drawn.end_x) == (100.0, 0.0)


@pytest.mark.parametrize("parts", [{}, {"a": 0.0, "b": 0.0}])
def test_waterfall_when_nothing_moves_then_base_and_end_lie_in_the_middle(
    parts: dict[str, float],
) -> None:
    """There is no scale to divide by."""
    drawn = waterfall(0.7, parts, 80.0)
    assert (drawn.base_x, drawn.end_x, drawn.end) == (40.0, 40.0, 0.7)
    assert all((step.x, step.width) == (40.0, 0.0) for step in drawn.steps)


def test_columns_when_a_value_is_out_of_scale_or_none_then_it_stays_in_the_box() -> None:
    """Two is cut at the scale of one; what is no number or negative has no height."""
    drawn = columns((2.0, math.nan, -1.0, 0.5), 1.0, 40.0, 10.0)
    assert [(column.x, column.y, column.height) for column in drawn] == [
        (0.0, 0.0, 10.0),
        (10.0, 10.0, 0.0),
        (20.0, 10.0, 0.0),
        (30.0, 5.0, 5.0),
    ]


def test_columns_when_there_are_none_or_no_scale_then_nothing_is_drawn() -> None:
    """Neither divides by zero."""
    assert columns((), 1.0, 40.0, 10.0) == []
    assert columns((0.0,), 0.0, 40.0, 10.0)[0].height == 0.0
