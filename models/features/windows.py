"""The last bars of every symbol, in the order of time.

A tape has one ring per symbol and channel, and every value is written into it twice, one window
apart. So the last `window` values always lie next to each other, oldest first, wherever the ring
of the symbol stands: reading needs no modulo, and each symbol has its own place in time.
"""

import numpy as np

from models.features.arithmetic import FloatArray, IntArray


def blank_tape(n_symbols: int, n_channels: int, window: int) -> FloatArray:
    """Give an empty tape: float64 (n_symbols, n_channels, 2 * window), NaN until written."""
    return np.full((n_symbols, n_channels, 2 * window), np.nan)


def record(
    tape: FloatArray, rows: IntArray, count: IntArray, values: tuple[FloatArray, ...]
) -> FloatArray:
    """Write one value per row and channel; give the windows that end with it.

    Parameters
    ----------
    tape
        (n_symbols, n_channels, 2 * window), written in place.
    rows, count
        (n_rows,) symbol indices and each symbol's number of bars, this one included.
    values
        One (n_rows,) array a channel.

    Returns
    -------
    FloatArray
        (n_channels, window, n_rows), oldest first; NaN where the symbol has fewer bars.

    Examples
    --------
    >>> tape = blank_tape(n_symbols=1, n_channels=1, window=2)
    >>> for bar, price in enumerate((7.0, 8.0, 9.0), start=1):
    ...     last = record(tape, np.array([0]), np.array([bar]), (np.array([price]),))
    >>> last.tolist()
    [[[8.0], [9.0]]]
    """
    _, n_channels, length = tape.shape
    window = length // 2
    slot = (count - 1) % window
    stacked = np.stack(values, axis=1)
    tape[rows, :, slot] = stacked
    tape[rows, :, slot + window] = stacked
    oldest = rows * (n_channels * length) + slot + 1
    channel = np.arange(n_channels)[:, None, None] * length
    latest: FloatArray = tape.reshape(-1).take(oldest + np.arange(window)[:, None] + channel)
    return latest
