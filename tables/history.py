"""Training data from a tape: the same bars that the bars stage makes live, by the same fold."""

from collections.abc import Callable
from contextlib import suppress
from itertools import count

import numpy as np

from models.bars import BarRules, OpenBar, advance
from models.history import PRICES, BarHistory
from streams.errors import RecordError
from streams.sources.tape import Interval, Tape
from streams.timestamps import TIMEFRAMES_NS
from tables.bars import BarsKept, add_tick


def history_of(
    tape: Tape,
    first_close_ns: int,
    last_close_ns: int,
    progress: Callable[[str, float], None],
) -> BarHistory:
    """Return the bars of a tape between two closes, both included.

    A bad tick in the tape is left out here; when it is replayed it becomes a dead letter.
    """
    timeframe_ns = TIMEFRAMES_NS[tape.timeframe]
    rules = BarRules(timeframe_ns, 0, timeframe_ns, 0)
    closes = [c for c in tape.closes_ns() if first_close_ns <= c <= last_close_ns]
    columns = {name: np.full((len(closes), len(tape.symbols)), np.nan) for name in PRICES}
    at = {symbol: i for i, symbol in enumerate(tape.symbols)}
    kept, beats = BarsKept(), count()
    for row, interval in enumerate(tape.intervals(first_close_ns, last_close_ns)):
        for symbol, bar in _fold(kept, rules, interval, beats).items():
            values = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap())
            for name, value in zip(PRICES, values, strict=True):
                columns[name][row, at[symbol]] = value
        if row % 100 == 0:
            progress("bars", row / len(closes))
    progress("bars", 1.0)
    return BarHistory(tape.symbols, np.array(closes, np.int64), **columns)


def _fold(
    kept: BarsKept, rules: BarRules, interval: Interval, beats: "count[int]"
) -> dict[str, OpenBar]:
    opened_ns = interval.close_ns - rules.timeframe_ns
    for _ in advance(kept.state, rules, next(beats), opened_ns):
        pass
    for ticks in interval.ticks.values():
        for tick in ticks:
            with suppress(RecordError):
                tick.check()
                add_tick(kept, rules, tick)
    closed = advance(kept.state, rules, next(beats), interval.close_ns)
    return {symbol: bar for bars in closed for symbol, bar in bars.bars}
