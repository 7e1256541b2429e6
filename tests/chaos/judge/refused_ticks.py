"""Why a tick may be refused at its place in the log: a second opinion on every dead letter.

A reason that a dead letter gives must be among those found here, and a tick for which there is one
must not be in a bar.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from tests.chaos.judge.documents import Epoch
from tests.chaos.judge.exact import time_ns
from tests.chaos.judge.placement import partition_of

Tick = dict[str, Any]

# How many ids of a symbol's ticks are remembered.
REMEMBERED_IDS = 128

_LONGEST_TEXT = 64
_LARGEST_INT = 2**63 - 1
_EARLIEST_NS, _LATEST_NS = 10**16, 7_258_118_400 * 10**9
_PRICES, _SIZES = (Decimal("1e-8"), Decimal("1e10")), (0, Decimal("1e15"))
_PRICES_OF = {
    "trade": ("price",),
    "quote": ("bid", "ask"),
    "bar": ("open", "high", "low", "close"),
}
_SIZES_OF = {"trade": ("size",), "quote": ("bid_size", "ask_size"), "bar": ("volume",)}
_NUMBERS = {name for names in (*_PRICES_OF.values(), *_SIZES_OF.values()) for name in names}
_MOST_TICKS = 1_000


class Place(NamedTuple):
    """What ticks are measured by where they stand: the epoch, the clock, and what came before.

    Attributes
    ----------
    beat_ns, passed_ns
        The time that has come, and the close up to which bars are closed; -1 before.
    seen
        The ids that are remembered of each symbol.
    opened
        Ticks by symbol, by close, of bars still open.
    """

    epoch: Epoch
    partition: int
    beat_ns: int
    passed_ns: int
    seen: dict[str, dict[str, None]]
    opened: dict[int, Any]


def record_faults(value: bytes | None, ticks: Any) -> set[str]:  # noqa: ANN401  any JSON value
    """Return the reasons for which a whole record may be refused; ``ticks`` is None of no JSON."""
    if not value:
        return {"EMPTY"}
    # A lone half of a surrogate pair is JSON to Python and none to others.
    if (ticks is None and value.strip() != b"null") or b"\\ud" in value.lower():
        return {"NOT_JSON"}
    is_long = isinstance(ticks, list) and len(ticks) > _MOST_TICKS
    return {"LIST_TOO_LONG"} if is_long else set()


def tick_faults(tick: Any, at: Place) -> set[str]:  # noqa: ANN401  any JSON value
    """Return all reasons for which a tick may be refused; none if it must be in a bar."""
    if not isinstance(tick, dict) or any(not _is_typed(tick, name) for name in _FIELDS):
        return {"WRONG_TYPE"}
    return {code for code, applies in _FAULTS.items() if applies(tick, at)}


def shape_faults(faults: Iterable[str]) -> set[str]:
    """Return those for which a crossed quote is refused, too: it has no bar to be late for."""
    return set(faults) - {"NO_CLOCK", "LATE", "TOO_FAR_AHEAD", "DUPLICATE"}


def close_of(tick: Tick, epoch: Epoch) -> int:
    """Return the close of the bar that a tick belongs to."""
    at_ns = time_ns(tick["ts_event"])
    if kind_of(tick) == "bar":
        return at_ns
    return (at_ns // epoch.timeframe_ns + 1) * epoch.timeframe_ns


def kind_of(tick: Tick) -> str:
    """Return what a tick is: a trade, a quote or a bar."""
    return str(tick.get("type", "trade"))


def is_crossed(tick: Tick) -> bool:
    """Tell whether a quote's bid is above its ask."""
    return kind_of(tick) == "quote" and tick["bid"] > tick["ask"]


def identity_of(tick: Tick) -> str:
    """Return by what a tick is known when it comes again; empty if by nothing."""
    venue = tick.get("venue", "")
    if tick.get("trade_id") is not None:
        return f"trade {tick['trade_id']} of {venue}"
    return "" if tick.get("seq") is None else f"number {tick['seq']} of {venue}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _may_be_null(test: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or test(value)


_FIELDS: dict[str, Callable[[object], bool]] = {
    "symbol": _is_text,
    "ts_event": lambda value: _is_text(value) or _is_int(value),
    "type": lambda value: value in _PRICES_OF,
    "venue": _is_text,
    "side": _may_be_null(_is_text),
    "timeframe": _may_be_null(_is_text),
    "trade_id": _may_be_null(lambda value: _is_text(value) or _is_int(value)),
    "seq": _may_be_null(_is_int),
    "version": _is_int,
    **dict.fromkeys(sorted(_NUMBERS), _may_be_null(_is_number)),
}


def _is_typed(tick: Tick, name: str) -> bool:
    if name not in tick:
        return name not in {"symbol", "ts_event"}
    with suppress(TypeError):  # a list has no hash
        return _FIELDS[name](tick[name])
    return False


def _lacks_price(tick: Tick, _at: Place) -> bool:
    return any(tick.get(name) is None for name in _PRICES_OF[kind_of(tick)])


def _has_bad_price(tick: Tick, _at: Place) -> bool:
    found = (tick.get(name) for name in _PRICES_OF[kind_of(tick)])
    return any(price is not None and not _PRICES[0] <= price <= _PRICES[1] for price in found)


def _has_bad_size(tick: Tick, _at: Place) -> bool:
    found = (tick.get(name) for name in _SIZES_OF[kind_of(tick)])
    return any(size is not None and not _SIZES[0] <= size <= _SIZES[1] for size in found)


def _is_no_bar(tick: Tick, at: Place) -> bool:
    if kind_of(tick) != "bar" or _lacks_price(tick, at):
        return False
    return not all(tick["low"] <= tick[name] <= tick["high"] for name in ("open", "close"))


def _has_bad_id(tick: Tick, _at: Place) -> bool:
    ids = (tick.get(name) for name in ("venue", "trade_id", "seq"))
    return any(
        len(each) > _LONGEST_TEXT if isinstance(each, str) else abs(each or 0) > _LARGEST_INT
        for each in ids
    )


def _has_no_time(tick: Tick, _at: Place) -> bool:
    with suppress(ValueError):
        return not _EARLIEST_NS < time_ns(tick["ts_event"]) < _LATEST_NS
    return True


def _timed(test: Callable[[Tick, Place], bool]) -> Callable[[Tick, Place], bool]:
    """Let a test of the time pass over ticks that have none."""
    return lambda tick, at: not _has_no_time(tick, at) and test(tick, at)


def _has_other_grid(tick: Tick, at: Place) -> bool:
    named = tick.get("timeframe")
    return kind_of(tick) == "bar" and bool(named) and named != at.epoch.timeframe


def _is_early(tick: Tick, at: Place) -> bool:
    horizon_ns = at.beat_ns + at.epoch.timeframe_ns + at.epoch.max_ahead_ns
    return time_ns(tick["ts_event"]) > horizon_ns


def _is_repeated(tick: Tick, at: Place) -> bool:
    if identity_of(tick) in at.seen.get(tick["symbol"], {}):
        return True
    is_bar = kind_of(tick) == "bar"
    return is_bar and tick["symbol"] in at.opened.get(close_of(tick, at.epoch), ())


_FAULTS: dict[str, Callable[[Tick, Place], bool]] = {
    "UNKNOWN_VERSION": lambda tick, _: tick.get("version", 1) != 1,
    "BAD_SYMBOL": lambda tick, _: not 0 < len(tick["symbol"]) <= _LONGEST_TEXT,
    "BAD_ID": _has_bad_id,
    "MISSING_FIELD": _lacks_price,
    "BAD_PRICE": _has_bad_price,
    "BAD_SIZE": _has_bad_size,
    "BAD_BAR": _is_no_bar,
    "BAD_TIMESTAMP": _has_no_time,
    "UNKNOWN_SYMBOL": lambda tick, at: tick["symbol"] not in at.epoch.instruments,
    "WRONG_PARTITION": lambda tick, at: (
        tick["symbol"] in at.epoch.instruments
        and partition_of(tick["symbol"], at.epoch.n_partitions) != at.partition
    ),
    "WRONG_TIMEFRAME": _has_other_grid,
    "MISALIGNED_BAR": _timed(
        lambda tick, at: (
            kind_of(tick) == "bar" and time_ns(tick["ts_event"]) % at.epoch.timeframe_ns > 0
        )
    ),
    "NO_CLOCK": lambda _, at: at.beat_ns < 0,
    "LATE": _timed(lambda tick, at: close_of(tick, at.epoch) <= at.passed_ns),
    "TOO_FAR_AHEAD": _timed(_is_early),
    "DUPLICATE": _timed(_is_repeated),
}
