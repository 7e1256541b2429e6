"""Geometry of a market: its price with decisions on it, regimes and weights below, in one box."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tables.views.decision_row import DecisionRow
from tables.views.number_text import price_text, quantity_text, time_text

WIDTH = 960.0
PRICE_HEIGHT = 240.0
BAND_HEIGHT = 48.0

# A line of text; the page of the decision has all reasons.
_SHOWN_CODES = 3


class Mark(NamedTuple):
    """An order on the price line: what became of it, and what to say about it."""

    decision_id: str
    kind: str
    x: float
    y: float
    text: str


class Area(NamedTuple):
    """One of the stacked areas of a band, as the points of a polygon."""

    points: str


class MarketChart(NamedTuple):
    """Everything that is drawn; ``holds`` are the places where nothing was asked for."""

    line: str
    marks: list[Mark]
    holds: list[tuple[float, float]]
    regimes: list[Area]
    weights: list[Area]
    lowest: float
    highest: float
    first: str
    last: str
    n_bars: int


def market_chart(rows: Sequence[DecisionRow]) -> MarketChart:
    """Return the drawing of lines that stand in order of time, of one symbol; at least one.

    Bars are evenly spaced, whatever the time between them. Orders that came from outside are drawn
    at the bar that they followed; only bars tell of price, regime and weights.
    """
    closes_ns = sorted({row.key.close_ns for row in rows})
    places = {close_ns: _x(at, len(closes_ns)) for at, close_ns in enumerate(closes_ns)}
    prices = [row.price for row in rows if math.isfinite(row.price)]
    lowest, highest = min(prices, default=0.0), max(prices, default=0.0)

    def place(row: DecisionRow) -> tuple[float, float]:
        return places[row.key.close_ns], _y(row.price, lowest, highest)

    bars = [row for row in rows if row.is_of_bar and math.isfinite(row.price)]
    xs = [places[row.key.close_ns] for row in bars]
    return MarketChart(
        " ".join(f"{x},{y}" for x, y in map(place, bars)),
        [_mark(row, *place(row)) for row in rows if _is_order(row)],
        [place(row) for row in bars if not _is_order(row)],
        stacked_areas(xs, [row.regime for row in bars], BAND_HEIGHT),
        stacked_areas(xs, [row.weights for row in bars], BAND_HEIGHT),
        lowest,
        highest,
        time_text(rows[0].timestamp),
        time_text(rows[-1].timestamp),
        len(closes_ns),
    )


def stacked_areas(
    xs: Sequence[float], values: Sequence[tuple[float, ...]], height: float
) -> list[Area]:
    """Return one polygon for each kind, the first at the bottom; each place fills the height.

    Examples
    --------
    >>> stacked_areas((0.0, 10.0), [(1.0, 3.0), (3.0, 1.0)], 8.0)[0].points
    '0.0,6.0 10.0,2.0 10.0,8.0 0.0,8.0'
    """
    if not values:
        return []
    below = [0.0] * len(values)
    areas = []
    shares = [_shares(each) for each in values]
    for kind in range(len(values[0])):
        above = [under + share[kind] for under, share in zip(below, shares, strict=True)]
        edge = [f"{x},{_down(top, height)}" for x, top in zip(xs, above, strict=True)]
        edge += [f"{x},{_down(low, height)}" for x, low in zip(xs[::-1], below[::-1], strict=True)]
        areas.append(Area(" ".join(edge)))
        below = above
    return areas


def _is_order(row: DecisionRow) -> bool:
    return row.action != "HOLD"


def _mark(row: DecisionRow, x: float, y: float) -> Mark:
    done = {"BUY": "bought", "SELL": "sold"}[row.action]
    kind = done if row.verdict == "approved" else "refused"
    codes = ", ".join(row.codes[:_SHOWN_CODES])
    more = len(row.codes) - _SHOWN_CODES
    why = f": {codes}{f' and {more} more' if more > 0 else ''}" if codes else ""
    text = (
        f"{time_text(row.timestamp)} {row.action} {quantity_text(row.quantity)} at "
        f"{price_text(row.price)}, {row.verdict}{why}"
    )
    return Mark(row.decision_id, kind, x, y, text)


def _x(at: int, n_bars: int) -> float:
    return round(WIDTH * at / (n_bars - 1), 1) if n_bars > 1 else WIDTH / 2


def _y(price: float, lowest: float, highest: float) -> float:
    if not math.isfinite(price):
        return PRICE_HEIGHT
    share = (highest - price) / (highest - lowest) if highest > lowest else 0.5
    return round(PRICE_HEIGHT * share, 1)


def _shares(values: Sequence[float]) -> list[float]:
    usable = [value if math.isfinite(value) and value > 0 else 0.0 for value in values]
    total = sum(usable)
    return [value / total if total > 0 else 0.0 for value in usable]


def _down(share: float, height: float) -> float:
    return round(height * (1.0 - min(share, 1.0)), 1)
