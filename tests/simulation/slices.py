"""Slices as prediction sends them, with any close and fill price."""

from collections.abc import Mapping, Sequence

import numpy as np

from streams.slices import BarColumns, SliceMeta, bar_slice
from tests.builders import proposal


def proposal_of(
    about: SliceMeta, rows: Mapping[str, tuple[float, float, float, float]], symbols: Sequence[str]
) -> bytes:
    """Return the bytes of a slice; ``rows`` are (close, fill price, confidence, target)."""
    held = [(at, symbol) for at, symbol in enumerate(symbols) if symbol in rows]
    close = np.array([rows[symbol][0] for _, symbol in held], np.float64)
    columns = BarColumns(
        symbol=[symbol for _, symbol in held],
        row=np.array([at for at, _ in held], np.int32),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.full(len(held), 100.0),
        vwap=close,
        n_ticks=np.ones(len(held), np.int64),
        fill_price=np.array([rows[symbol][1] for _, symbol in held], np.float64),
    )
    targets = {symbol: row[2:] for symbol, row in rows.items()}
    return proposal(bar_slice(about, columns), targets).encode()  # type: ignore[arg-type]  pairs
