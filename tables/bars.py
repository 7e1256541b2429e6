"""What the bars stage remembers of a partition: open bars, the epochs announced, the counts."""

from collections.abc import Iterable

import cramjam
import msgspec
import numpy as np

from models.bars import (
    BarRules,
    BarState,
    OpenBar,
    Quote,
    Refused,
    Trade,
    WholeBar,
    add_bar,
    add_quote,
    add_trade,
)
from streams.codec import StateError
from streams.records import EpochNotice, Tick
from streams.slices import BarColumns, Counts, FloatArray
from streams.timestamps import TIMEFRAMES_NS, parse_ns


class BarsKept(msgspec.Struct):
    """Snapshot of one partition of ``market-ticks``.

    ``epochs`` holds the current epoch first and then those announced for later closes;
    ``first_offset`` is where the ticks of the next slice begin.
    """

    state: BarState = msgspec.field(default_factory=BarState)
    epochs: list[EpochNotice] = msgspec.field(default_factory=list)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    first_offset: int = 0

    def count(self, name: str, n: int = 1) -> None:
        """Count ticks under ``name``, a field of :class:`~streams.slices.Counts`."""
        self.counts[name] = self.counts.get(name, 0) + n

    def take_counts(self) -> Counts:
        """Return the counts since the last slice and start anew."""
        counts, self.counts = Counts(**self.counts), {}
        return counts

    def epoch_for(self, close_ns: int) -> EpochNotice:
        """Return the epoch that decides a close, and forget those before it."""
        while len(self.epochs) > 1 and self.epochs[1].from_close_ns < close_ns:
            del self.epochs[0]
        return self.epochs[0]

    def encode(self) -> bytes:
        """Return the snapshot's bytes."""
        return bytes(cramjam.zstd.compress(msgspec.msgpack.encode(self), level=1))

    @classmethod
    def decode(cls, data: bytes) -> "BarsKept":
        """Read a snapshot.

        Raises
        ------
        StateError
            If the bytes are none.
        """
        try:
            return msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(data)), type=cls)
        except (cramjam.DecompressionError, msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"{len(data)} bytes are no snapshot of bars: {error}") from error


def add_tick(kept: BarsKept, rules: BarRules, tick: Tick) -> Refused | None:
    """Put a checked tick into its bar, or say why not.

    Raises
    ------
    RecordError
        If its time cannot be read.
    """
    ts_ns = parse_ns(tick.ts_event)
    identity = _identity(tick)
    if tick.type == "trade":
        trade = Trade(tick.symbol, ts_ns, float(tick.price or 0), float(tick.size or 0), identity)
        return add_trade(kept.state, rules, trade)
    if tick.type == "quote":
        quote = Quote(tick.symbol, ts_ns, float(tick.bid or 0), float(tick.ask or 0), identity)
        return add_quote(kept.state, rules, quote)
    if tick.timeframe and TIMEFRAMES_NS.get(tick.timeframe) != rules.timeframe_ns:
        return Refused(
            "WRONG_TIMEFRAME",
            f"bar of {tick.timeframe[:16]!r}; expected bars of {rules.timeframe_ns} ns",
        )
    bar = WholeBar(
        symbol=tick.symbol,
        close_ns=ts_ns,
        open=float(tick.open or 0),
        high=float(tick.high or 0),
        low=float(tick.low or 0),
        close=float(tick.close or 0),
        volume=float(tick.volume or 0),
        identity=identity,
    )
    return add_bar(kept.state, rules, bar)


def _identity(tick: Tick) -> str:
    """Return what makes a tick the same as another of its symbol; trades and sequences apart."""
    if tick.trade_id is not None:
        return f"{tick.venue}\x1ft{tick.trade_id}"
    return "" if tick.seq is None else f"{tick.venue}\x1fs{tick.seq}"


def bar_columns(rows: list[tuple[int, str, OpenBar]]) -> BarColumns:
    """Return the columns of a fresh slice from (row in the chunk, symbol, bar)."""

    def floats(values: Iterable[float]) -> FloatArray:
        return np.fromiter(values, np.float64, len(rows))

    return BarColumns(
        [symbol for _, symbol, _ in rows],
        np.fromiter((i for i, _, _ in rows), np.int32, len(rows)),
        floats(bar.open for _, _, bar in rows),
        floats(bar.high for _, _, bar in rows),
        floats(bar.low for _, _, bar in rows),
        floats(bar.close for _, _, bar in rows),
        floats(bar.volume for _, _, bar in rows),
        floats(bar.vwap() for _, _, bar in rows),
        np.fromiter((bar.n_ticks for _, _, bar in rows), np.int64, len(rows)),
        floats(bar.fill() for _, _, bar in rows),
    )
