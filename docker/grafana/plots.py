"""What a dashboard is made of: panels with their queries, in sections."""

from typing import NamedTuple


class Plot(NamedTuple):
    """One panel: what it is called, in which unit, and its queries by their legend.

    ``bars`` are values as they are now, side by side, in place of lines over time; of a histogram
    (``le`` in the legend) how many lie in each bucket.
    """

    title: str
    unit: str
    queries: dict[str, str]
    about: str = ""
    bars: bool = False


class Board(NamedTuple):
    """One dashboard: its file and address, its title, and its sections of panels."""

    uid: str
    title: str
    sections: dict[str, tuple[Plot, ...]]


def p95(metric: str, by: str, chosen: str = "") -> str:
    """Return the query for the 95 % quantile of a histogram."""
    where = f'stack=~"$stack"{chosen}'
    return f"histogram_quantile(0.95, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[5m])))"


def rate(metric: str, by: str, chosen: str = "") -> str:
    """Return the query for a counter's rate per second."""
    return f'sum by ({by}) (rate({metric}{{stack=~"$stack"{chosen}}}[5m]))'


def now(metric: str) -> str:
    """Return the query for a gauge as it is."""
    return f'{metric}{{stack=~"$stack"}}'
