"""The bars that were decided last, as the stages described them: what questions are answered from.

Not state: it follows from the newest slices of the book's log, which a restart reads again.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from models.specialists.window import ATTENDED, COLUMNS, LENGTH_BARS
from streams.slices import FloatArray, Slice

# Bars that can still be asked about; the slices of one take 0.2 MB at 200 symbols.
BARS_KEPT = 16
# Of each symbol before those, so that a specialist's window of the oldest is whole; 1 kB a symbol.
_PAST_BARS = LENGTH_BARS - 1


class SeenRow(NamedTuple):
    """One symbol's bar with all that the stages said about it.

    ``features`` (60,), ``regime`` (4,), ``scores`` (3,) and ``weights`` (3,) are the slice's rows:
    NaN while they warm up.
    """

    symbol: str
    timeframe: str
    close_ns: int
    epoch_digest: str
    close: float
    features: FloatArray
    regime: FloatArray
    scores: FloatArray
    weights: FloatArray


class _Columns:
    """A slice whose columns are read once, when somebody asks."""

    def __init__(self, slice_: Slice) -> None:
        self._slice = slice_
        self._read: tuple[FloatArray, ...] = ()
        self._attended: FloatArray = np.empty((0, len(COLUMNS)))

    def attended(self, at: int) -> FloatArray:
        """Return what a specialist remembers of a row's bar, shape (8,)."""
        if not len(self._attended):
            self._attended = self._slice.matrix("features")[:, COLUMNS]
        row: FloatArray = self._attended[at]
        return row

    def row(self, symbol: str, at: int) -> SeenRow:
        """Return one row."""
        if not self._read:
            lists = map(self._slice.matrix, ("features", "regime", "scores", "weights"))
            self._read = (self._slice.floats("close"), *lists)
        meta, (close, *lists_of) = self._slice.meta, self._read
        return SeenRow(
            symbol,
            meta.timeframe,
            meta.close_ns,
            meta.epoch_digest,
            float(close[at]),
            *(values[at] for values in lists_of),
        )


_Bar = dict[str, tuple[_Columns, int]]


class RecentBars:
    """The newest bars of one portfolio, by close; each is made of the slices of its partitions.

    A close without a row is no bar. Of the bars before the newest ones each symbol keeps what a
    specialist attends to, so that a symbol that trades seldom has a whole window too.
    """

    def __init__(self) -> None:
        self._bars: dict[int, _Bar] = {}
        self._past: dict[str, deque[tuple[int, FloatArray]]] = {}

    def take(self, slice_: Slice) -> None:
        """Remember a slice; a symbol's come in the order of their bars."""
        if not slice_.n_rows:
            return
        columns = _Columns(slice_)
        bar = self._bars.setdefault(slice_.meta.close_ns, {})
        bar.update((symbol, (columns, at)) for at, symbol in enumerate(slice_.symbols()))
        if len(self._bars) > BARS_KEPT:
            oldest_ns = min(self._bars)
            self._let_go(oldest_ns, self._bars.pop(oldest_ns))

    def _let_go(self, close_ns: int, bar: _Bar) -> None:
        for symbol, (columns, at) in bar.items():
            past = self._past.setdefault(symbol, deque(maxlen=_PAST_BARS))
            # What comes again from before a restart is known.
            if not past or past[-1][0] < close_ns:
                # A copy: the rest of the slice goes.
                past.append((close_ns, columns.attended(at).copy()))

    def closes_ns(self, until_ns: int) -> list[int]:
        """Return the closes of the bars that are kept, up to a time, the newest first."""
        return sorted((close for close in self._bars if close <= until_ns), reverse=True)

    def row(self, symbol: str, close_ns: int) -> SeenRow | None:
        """Return a symbol's row of a bar; None if it had none, or the bar is not kept."""
        found = self._bars.get(close_ns, {}).get(symbol)
        if found is None:
            return None
        columns, at = found
        return columns.row(symbol, at)

    def newest_close_ns(self, symbol: str, until_ns: int) -> int | None:
        """Return the close of the newest bar that has a symbol; None if no kept bar has it."""
        closes = (close for close, bar in self._bars.items() if close <= until_ns and symbol in bar)
        return max(closes, default=None)

    def window(self, symbol: str, until_ns: int) -> FloatArray:
        """Return what a specialist attended to at a bar: a symbol's own last bars up to it.

        Returns
        -------
        (16, 8)
            The features ``ATTENDED``, the oldest first; NaN where the symbol had fewer bars, or
            they are not known behind a restart.
        """
        closes_ns = reversed(self.closes_ns(until_ns))
        found = (self._bars[close_ns].get(symbol) for close_ns in closes_ns)
        bars = [bar for close_ns, bar in self._past.get(symbol, ()) if close_ns <= until_ns]
        bars += [each[0].attended(each[1]) for each in found if each is not None]
        unknown = np.full((LENGTH_BARS, len(ATTENDED)), np.nan)
        return np.concatenate([unknown, *(bar[np.newaxis] for bar in bars)])[-LENGTH_BARS:]

    def newest(self, symbol: str, until_ns: int) -> SeenRow | None:
        """Return the newest row of a symbol up to a time; None if no kept bar has one."""
        close_ns = self.newest_close_ns(symbol, until_ns)
        return None if close_ns is None else self.row(symbol, close_ns)
