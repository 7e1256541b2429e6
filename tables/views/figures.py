"""Geometry of the small figures; a page draws them as inline SVG, without styles or scripts."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from tables.views.account_history import Point


class Segment(NamedTuple):
    """A piece of a stacked bar."""

    x: float
    width: float


class Step(NamedTuple):
    """One part of a waterfall: from where the parts before it led, by its own value."""

    name: str
    value: float
    x: float
    width: float


class Waterfall(NamedTuple):
    """Parts that lead from a base to an end, the largest first, and where the two ends lie."""

    steps: list[Step]
    base_x: float
    end: float
    end_x: float


class Column(NamedTuple):
    """One column that stands on the lower edge of its box, y downwards."""

    x: float
    y: float
    width: float
    height: float


class Curve(NamedTuple):
    """A line in its box, y downwards, and the values at its edges."""

    points: str
    last_x: float
    last_y: float
    lowest: float
    highest: float


def stacked_bar(values: Sequence[float], width: float) -> list[Segment]:
    """Return the pieces of a bar that is ``width`` long, in proportion to non-negative values.

    What is negative or not finite takes no room; if nothing does, no piece does.

    Examples
    --------
    >>> stacked_bar((0.5, 0.25, 0.25), 80.0)
    [Segment(x=0.0, width=40.0), Segment(x=40.0, width=20.0), Segment(x=60.0, width=20.0)]
    """
    usable = [value if math.isfinite(value) and value > 0 else 0.0 for value in values]
    total = sum(usable)
    segments = []
    x = 0.0
    for value in usable:
        length = width * value / total if total > 0 else 0.0
        segments.append(Segment(round(x, 2), round(length, 2)))
        x += length
    return segments


def waterfall(base: float, parts: Mapping[str, float], width: float) -> Waterfall:
    """Return the parts one after the other in a box that just holds all they reach.

    Examples
    --------
    >>> drawn = waterfall(0.0, {"small": -0.5, "large": 1.0}, 100.0)
    >>> [(step.name, step.x, step.width) for step in drawn.steps], drawn.end_x
    ([('large', 0.0, 100.0), ('small', 50.0, 50.0)], 50.0)
    """
    ordered = sorted(parts.items(), key=lambda part: (-abs(part[1]), part[0]))
    reached = list(accumulate((value for _, value in ordered), initial=base))
    lowest, highest = min(reached), max(reached)

    def x(value: float) -> float:
        return width * (value - lowest) / (highest - lowest) if highest > lowest else width / 2

    steps = [
        Step(name, value, round(x(min(ends)), 2), round(abs(x(ends[1]) - x(ends[0])), 2))
        for (name, value), ends in zip(ordered, pairwise(reached), strict=True)
    ]
    return Waterfall(steps, round(x(base), 2), reached[-1], round(x(reached[-1]), 2))


def columns(values: Sequence[float], highest: float, width: float, height: float) -> list[Column]:
    """Return a column for each value, side by side, a tenth of each place left free.

    Examples
    --------
    >>> columns((0.25, 0.5), 0.5, 20.0, 8.0)
    [Column(x=0.0, y=4.0, width=9.0, height=4.0), Column(x=10.0, y=0.0, width=9.0, height=8.0)]
    """
    place = width / len(values) if values else 0.0
    drawn = []
    for at, value in enumerate(values):
        share = min(max(value / highest, 0.0), 1.0) if highest > 0 and math.isfinite(value) else 0.0
        tall = round(height * share, 2)
        drawn.append(
            Column(round(at * place, 2), round(height - tall, 2), round(0.9 * place, 2), tall)
        )
    return drawn


def line_curve(points: Sequence[Point], width: float, height: float) -> Curve:
    """Return the line through the points; a flat or single value lies in the middle.

    Examples
    --------
    >>> line_curve([Point(0, 1.0), Point(10, 3.0)], 100.0, 50.0).points
    '0.0,50.0 100.0,0.0'
    """
    first_ns, last_ns = points[0].close_ns, points[-1].close_ns
    lowest = min(point.equity for point in points)
    highest = max(point.equity for point in points)
    span_ns, span = (last_ns - first_ns) or 1, highest - lowest
    placed = [
        (
            round(width * (point.close_ns - first_ns) / span_ns, 1),
            round(height * ((highest - point.equity) / span if span else 0.5), 1),
        )
        for point in points
    ]
    text = " ".join(f"{x},{y}" for x, y in placed)
    return Curve(text, *placed[-1], lowest, highest)


def share_bar(fraction: float, limit: float, width: float) -> tuple[float, float]:
    """Return the length of a share and the place of its limit in a box that shows twice the limit.

    Examples
    --------
    >>> share_bar(0.10, 0.25, 100.0)
    (20.0, 50.0)
    """
    scale = width / (2 * limit)
    length = abs(fraction) * scale if math.isfinite(fraction) else 0.0
    return round(min(length, width), 2), round(limit * scale, 2)
