"""Bars by event time: ticks go into open bars, and only a heartbeat closes them.

A bar covers ``[close - timeframe, close)``; it closes when a heartbeat says that
``close + lateness`` has come. A tick whose bar has closed is late. Open and close are the prices
with the smallest and largest event time, so the order of arrival inside the lateness does not
matter; among equal times the log decides (first opens, last closes).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

# Producers repeat what they retried, so a duplicate stands close to its original.
REMEMBERED_IDS = 128


class BarRules(NamedTuple):
    """Times of an epoch, in nanoseconds."""

    timeframe_ns: int
    lateness_ns: int
    max_ahead_ns: int
    venue_latency_ns: int


class Trade(NamedTuple):
    """A trade; ``identity`` is empty for ticks without an id, and those are never duplicates."""

    symbol: str
    ts_ns: int
    price: float
    size: float
    identity: str


class Quote(NamedTuple):
    """Best bid and ask; bars take their middle, and no volume."""

    symbol: str
    ts_ns: int
    bid: float
    ask: float
    identity: str


class WholeBar(NamedTuple):
    """A ready-made bar; ``close_ns`` stands on the grid of the timeframe."""

    symbol: str
    close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    identity: str


class OpenBar(msgspec.Struct, array_like=True):
    """A bar in the making, of one symbol."""

    open_ts: int
    open: float
    high: float
    low: float
    close_ts: int
    close: float
    volume: float
    notional: float
    price_sum: float
    n_ticks: int
    fill_ts: int
    fill_price: float

    def fill(self) -> float:
        """Return the price that an order of the bar before would have met, NaN if there is none."""
        return self.fill_price if self.fill_ts >= 0 else math.nan

    def vwap(self) -> float:
        """Return the volume-weighted price, or the mean price where no volume was given.

        A mean lies between low and high, but not when it is rounded, and not when the volume is so
        small that the notional is lost; so it is held there.
        """
        mean = self.notional / self.volume if self.volume > 0 else self.price_sum / self.n_ticks
        return min(max(mean, self.low), self.high)


class BarState(msgspec.Struct):
    """Open bars of one partition and the time that has come there; ``step`` consumes it."""

    heartbeat_ns: int = -1
    heartbeat_n: int = -1
    closed_ns: int = -1
    bars: dict[int, dict[str, OpenBar]] = msgspec.field(default_factory=dict)
    seen: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)


class ClosedBars(NamedTuple):
    """All bars of one boundary, in symbol order; none if nothing traded."""

    close_ns: int
    bars: tuple[tuple[str, OpenBar], ...]


class Refused(NamedTuple):
    """Why a tick changes nothing; the code counts it, the detail tells its producer."""

    code: str
    detail: str


def add_trade(state: BarState, rules: BarRules, trade: Trade) -> Refused | None:
    """Put one trade into its bar, or say why not: LATE, TOO_FAR_AHEAD, DUPLICATE or NO_CLOCK."""
    symbol, ts, price, size, identity = trade
    close_ns = ts - ts % rules.timeframe_ns + rules.timeframe_ns
    refused = _refuse(state, rules, symbol, ts, identity, close_ns)
    if refused is not None:
        return refused
    bars = state.bars.setdefault(close_ns, {})
    bar = bars.get(symbol)
    if bar is None:
        bar = OpenBar(ts, price, price, price, ts, price, 0.0, 0.0, 0.0, 0, -1, price)
        bars[symbol] = bar
    elif ts < bar.open_ts:
        bar.open_ts, bar.open = ts, price
    elif ts >= bar.close_ts:
        bar.close_ts, bar.close = ts, price
    if price > bar.high:
        bar.high = price
    elif price < bar.low:
        bar.low = price
    bar.volume += size
    bar.notional += price * size
    bar.price_sum += price
    bar.n_ticks += 1
    fill_from = close_ns - rules.timeframe_ns + rules.lateness_ns + rules.venue_latency_ns
    if ts >= fill_from and (bar.fill_ts < 0 or ts < bar.fill_ts):
        bar.fill_ts, bar.fill_price = ts, price
    return None


def add_quote(state: BarState, rules: BarRules, quote: Quote) -> Refused | None:
    """Put the middle of a quote into its bar; a crossed quote (bid above ask) has none: CROSSED."""
    if quote.bid > quote.ask:
        return Refused("CROSSED", f"{quote.symbol}: bid {quote.bid} above ask {quote.ask}")
    middle = (quote.bid + quote.ask) / 2
    return add_trade(state, rules, Trade(quote.symbol, quote.ts_ns, middle, 0.0, quote.identity))


def add_bar(state: BarState, rules: BarRules, bar: WholeBar) -> Refused | None:
    """Take a ready-made bar as the bar of its close; the first one counts.

    Orders of the bar before fill at this bar's *close*: when inside the bar its open was traded is
    not known, and the order came after the bar before had closed.
    """
    if bar.close_ns % rules.timeframe_ns:
        return Refused(
            "MISALIGNED_BAR",
            f"bar closes at {bar.close_ns} ns; expected a multiple of {rules.timeframe_ns} ns",
        )
    refused = _refuse(state, rules, bar.symbol, bar.close_ns, bar.identity, bar.close_ns)
    if refused is not None:
        return refused
    bars = state.bars.setdefault(bar.close_ns, {})
    if bar.symbol in bars:
        return Refused("DUPLICATE", f"{bar.symbol} has a bar that closes at {bar.close_ns} ns")
    opened_ns = bar.close_ns - rules.timeframe_ns
    typical = (bar.open + bar.high + bar.low + bar.close) / 4
    bars[bar.symbol] = OpenBar(
        opened_ns,
        bar.open,
        bar.high,
        bar.low,
        bar.close_ns,
        bar.close,
        bar.volume,
        typical * bar.volume,
        typical,
        1,
        bar.close_ns,
        bar.close,
    )
    return None


def _refuse(
    state: BarState, rules: BarRules, symbol: str, ts_ns: int, identity: str, close_ns: int
) -> Refused | None:
    if state.heartbeat_ns < 0:
        return Refused("NO_CLOCK", "no heartbeat has come yet; expected the clock to run first")
    if close_ns <= state.closed_ns:
        return Refused(
            "LATE", f"{symbol} at {ts_ns} ns; its bar closed, bars are closed to {state.closed_ns}"
        )
    horizon_ns = state.heartbeat_ns + rules.timeframe_ns + rules.max_ahead_ns
    if ts_ns > horizon_ns:
        return Refused(
            "TOO_FAR_AHEAD", f"{symbol} at {ts_ns} ns; the clock allows ticks up to {horizon_ns} ns"
        )
    if identity and _is_repeated(state, symbol, identity):
        return Refused("DUPLICATE", f"{symbol} with id {identity!r} came before")
    return None


def _is_repeated(state: BarState, symbol: str, identity: str) -> bool:
    seen = state.seen.get(symbol)
    if seen is None:
        seen = state.seen[symbol] = {}
    elif identity in seen:
        return True
    seen[identity] = 1
    if len(seen) > REMEMBERED_IDS:
        del seen[next(iter(seen))]
    return False


def advance(state: BarState, rules: BarRules, n: int, ts_ns: int) -> Iterable[ClosedBars]:
    """Move time by heartbeat ``n``: close every boundary with bars, and the last one passed.

    A heartbeat that was seen before, or that goes back, changes nothing.
    """
    if n <= state.heartbeat_n or ts_ns < state.heartbeat_ns:
        return ()
    state.heartbeat_n, state.heartbeat_ns = n, ts_ns
    passed_ns = (ts_ns - rules.lateness_ns) // rules.timeframe_ns * rules.timeframe_ns
    if passed_ns <= state.closed_ns:
        return ()
    is_first = state.closed_ns < 0
    state.closed_ns = passed_ns
    closes = sorted(close for close in state.bars if close <= passed_ns)
    if not closes or closes[-1] != passed_ns:
        closes.append(passed_ns)
    if is_first:
        closes = [close for close in closes if close in state.bars]
    return [ClosedBars(close, tuple(sorted(state.bars.pop(close, {}).items()))) for close in closes]
