"""Real bars for the feature measurements.

Always: the demo's 20 stocks, 1990 to 2022, real closes with a simulated path inside each day and no
volume. With ``TRADEWIND_DATA`` also real daily bars with volume, 44 stocks, 2012 to 2017.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.features.bars import Bars
from streams.sources.bridge import BridgeTape

Floats = npt.NDArray[np.float64]

DEMO, REAL = "20 stocks, simulated intraday", "44 stocks, real bars with volume"


@cache
def tapes() -> dict[str, Bars]:
    """Give the bars by name, columns (n_bars, n_symbols)."""
    found = {DEMO: _demo()}
    folder = os.environ.get("TRADEWIND_DATA")
    if folder:
        found[REAL] = _real(Path(folder) / "bars_1d_us_equities_2012_2017.parquet")
    return found


def best_tape() -> tuple[str, Bars]:
    """Give the tape with most that is real: with volume where this machine has it."""
    return list(tapes().items())[-1]


def _demo() -> Bars:
    paths = BridgeTape().paths
    closes = np.ascontiguousarray(paths[:, :, -1])
    return Bars(
        np.ascontiguousarray(paths[:, :, 0]),
        paths.max(axis=2),
        paths.min(axis=2),
        closes,
        np.zeros_like(closes),
        paths.mean(axis=2),
    )


def _real(path: Path) -> Bars:
    import pyarrow.parquet  # noqa: PLC0415  only with data

    frame = pyarrow.parquet.read_table(path).to_pandas()
    columns = ("open", "high", "low", "close", "volume")
    table = frame.pivot_table(index="ts_event_ns", columns="symbol", values=list(columns))
    arrays = [np.ascontiguousarray(table[name].to_numpy(np.float64)) for name in columns]
    typical = (arrays[1] + arrays[2] + arrays[3]) / 3.0
    present = np.isfinite(np.stack(arrays)).all(axis=0)
    return Bars(*(np.where(present, column, np.nan) for column in (*arrays, typical)))
