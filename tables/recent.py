"""The bars that were decided last, as the stages described them: what questions are answered from.

Not state: it follows from the newest slices of the book's log, which a restart reads again.
"""

from typing import NamedTuple

from models.specialists.window import LENGTH_BARS
from streams.slices import FloatArray, Slice

# Bars that can still be asked about, as many as a specialist attends to; the slices of one take
# 0.2 MB at 200 symbols.
BARS_KEPT = LENGTH_BARS


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


class RecentBars:
    """The newest bars of one portfolio, by close; each is made of the slices of its partitions."""

    def __init__(self) -> None:
        self._bars: dict[int, dict[str, tuple[_Columns, int]]] = {}

    def take(self, slice_: Slice) -> None:
        """Remember a slice; one of a bar older than those kept is nothing new."""
        close_ns = slice_.meta.close_ns
        bar = self._bars.get(close_ns)
        if bar is None:
            if len(self._bars) >= BARS_KEPT and close_ns < min(self._bars):
                return
            bar = self._bars[close_ns] = {}
            if len(self._bars) > BARS_KEPT:
                del self._bars[min(self._bars)]
        columns = _Columns(slice_)
        bar.update((symbol, (columns, at)) for at, symbol in enumerate(slice_.symbols()))

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

    def rows(self, symbol: str, until_ns: int) -> list[SeenRow]:
        """Return a symbol's rows of the bars that are kept, up to a time, the oldest first."""
        rows = (self.row(symbol, close_ns) for close_ns in reversed(self.closes_ns(until_ns)))
        return [row for row in rows if row is not None]

    def newest(self, symbol: str, until_ns: int) -> SeenRow | None:
        """Return the newest row of a symbol up to a time; None if no kept bar has one."""
        close_ns = self.newest_close_ns(symbol, until_ns)
        return None if close_ns is None else self.row(symbol, close_ns)
