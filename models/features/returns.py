"""Returns: how far the price has come, overnight, within the bar and over up to a year."""

import numpy as np

from models.features.arithmetic import FloatArray, log
from models.features.moment import Moment

# 1 is left out: the moment knows it.
_LAGS = np.array((2, 3, 5, 10, 21, 63, 126, 252), dtype=np.int64)
_RING_BARS = 253


def blank(n_symbols: int) -> FloatArray:
    """Give the ring of closes: float64 (253, n_symbols), NaN until written."""
    return np.full((_RING_BARS, n_symbols), np.nan)


def step(closes: FloatArray, moment: Moment) -> list[FloatArray]:
    """Give the 11 log returns of the catalogue's order, (n_rows,) each; NaN before their lag.

    return_k = ln(close_t / close_{t-k}), k in bars of the symbol, whatever gaps lie between them.
    The ring is written in place.
    """
    slot = (moment.n_bars - 1) % _RING_BARS
    closes[slot, moment.rows] = moment.bars.close
    earlier = closes[(slot - _LAGS[:, None]) % _RING_BARS, moment.rows]
    longer = log(moment.bars.close / earlier)
    return [moment.return_1, *longer, moment.overnight, moment.range_log]
