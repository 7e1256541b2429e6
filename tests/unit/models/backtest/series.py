"""Series of a portfolio for tests of what is measured on them."""

from collections.abc import Sequence

import numpy as np

from models.backtest.points import Series

DAY_NS = 86_400_000_000_000

# 2024-01-01T00:00:00Z.
START_NS = 19_723 * DAY_NS


def series(equity: Sequence[float], step_ns: int = DAY_NS, **columns: Sequence[float]) -> Series:
    """Return a series with this equity, one bar a step; columns that are not given are zero."""
    worth = np.array(equity, np.float64)
    closes = START_NS + step_ns * np.arange(1, len(worth) + 1)
    given = {name: np.array(values, np.float64) for name, values in columns.items()}
    others = [given.get(name, np.zeros(len(worth))) for name in Series._fields[2:]]
    return Series(closes, worth, *others)
