"""The last bars of every symbol, in the order of time.

A tape is a ring per channel and symbol, and every value is written into it twice, one window apart.
So the last `window` values always follow each other, oldest first, wherever the ring of the symbol
stands: reading needs no modulo, and each symbol has its own place in time. Time is the first axis,
so where all symbols stand at the same place their windows are one stretch of the tape.
"""

import numpy as np

from models.features.arithmetic import FloatArray, IntArray


def blank_tape(n_symbols: int, n_channels: int, window: int) -> FloatArray:
    """Give an empty tape: float64 (2 * window, n_channels, n_symbols), NaN until written."""
    return np.full((2 * window, n_channels, n_symbols), np.nan)


def record(
    tape: FloatArray, rows: IntArray, count: IntArray, values: tuple[FloatArray, ...]
) -> FloatArray:
    """Write one value per row and channel; give the windows that end with it.

    Parameters
    ----------
    tape
        (2 * window, n_channels, n_symbols), written in place.
    rows, count
        (n_rows,) symbol indices and each symbol's number of bars, this one included.
    values
        One (n_rows,) array a channel.

    Returns
    -------
    FloatArray
        (window, n_channels, n_rows), oldest first; NaN where the symbol has fewer bars. It may be a
        view of the tape: read it before the next bar, and do not write to it.

    Examples
    --------
    >>> tape = blank_tape(n_symbols=1, n_channels=1, window=2)
    >>> for bar, price in enumerate((7.0, 8.0, 9.0), start=1):
    ...     last = record(tape, np.array([0]), np.array([bar]), (np.array([price]),))
    >>> last.tolist()
    [[[8.0]], [[9.0]]]
    """
    length, n_channels, n_symbols = tape.shape
    window = length // 2
    if not rows.size:
        return np.empty((window, n_channels, 0))
    slot = (count - 1) % window
    stacked = np.array(values)
    if rows.size == n_symbols and (slot == slot[0]).all():
        first = int(slot[0])
        tape[first] = tape[first + window] = stacked
        return tape[first + 1 : first + 1 + window]
    tape[slot, :, rows] = tape[slot + window, :, rows] = stacked.T
    step_ = n_channels * n_symbols
    channel = np.arange(n_channels)[:, None] * n_symbols
    begin = (slot + 1) * step_ + rows + channel
    latest: FloatArray = tape.reshape(-1).take(
        begin + np.arange(0, window * step_, step_)[:, None, None]
    )
    return latest
