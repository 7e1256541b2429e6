"""Geometry of the small figures; a page draws them as inline SVG, without styles or scripts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tables.views.account_history import Point


class Segment(NamedTuple):
    """A piece of a stacked bar."""

    x: float
    width: float


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
