"""The judge's own reading of the limits: which does an order break, by arithmetic of its own.

Exposure, value and loss are compared as integers and fractions, so an order at the very limit is
judged exactly. VaR and correlation are sums of floats in another order than the product's; where
one comes closer to its limit than 1e-9 of it, the judge does not say.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from tests.simulation.shadow import DAY_NS, MONEY, Shadow

CLOSE_TO = 1e-9
EVERYTHING = ("HALTED", "NO_PRICE", "STALE_PRICE", "PRICE_COLLAR", "MAX_ORDER_QUANTITY")
BIND_REDUCTIONS = frozenset((*EVERYTHING, "DUPLICATE_ORDER", "RESTRICTED_SYMBOL", "MARKET_CLOSED"))


class Wish(NamedTuple):
    """An order to be judged: signed lots; price 0 is the market."""

    symbol: str
    lots: int
    price_e8: int = 0
    strategy: str = "model"

    @property
    def side(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.lots > 0 else -1


class Reading(NamedTuple):
    """The codes that an order breaks, in the order of the controls, and those left open."""

    broken: list[str]
    unsure: frozenset[str]


Found = tuple[str, bool | None]
"""A code and whether it is broken; None where rounding decides."""


def read(shadow: Shadow, wish: Wish) -> Reading:
    """Judge an order against all limits, as of now."""
    n_lots, free = abs(wish.lots), reducible(shadow, wish)
    broken, unsure = [], []
    for law in LAWS:
        for code, is_broken in law(shadow, wish):
            if is_broken is False or (code not in BIND_REDUCTIONS and n_lots <= free):
                continue
            (unsure if is_broken is None else broken).append(code)
        if broken and broken[-1] == "NO_PRICE":
            break
    return Reading(broken, frozenset(unsure))


def reducible(shadow: Shadow, wish: Wish) -> int:
    """Return the lots of an order's side that only take a position back."""
    held = shadow.lots[wish.symbol]
    return max(0, -wish.side * held - shadow.open_lots(wish.symbol, wish.side))


def share(shadow: Shadow, key: str) -> Fraction:
    """Return a limit as an exact fraction."""
    return Fraction(repr(float(shadow.limits[key])))


def switched(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask the kill switches."""
    keys = ("global", "portfolio", f"strategy:{wish.strategy}", f"symbol:{wish.symbol}")
    states = {shadow.switches.get(key) for key in keys}
    yield "HALTED", "HALTED" in states
    yield "REDUCE_ONLY", "HALTED" not in states and "REDUCING" in states


def priced(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask for a price, its age, and how far from it the order is."""
    since, last = shadow.priced.get(wish.symbol), shadow.price[wish.symbol]
    if since is None or not last:
        yield "NO_PRICE", True
        return
    age = Fraction(shadow.now - since, shadow.terms.bar_ns)
    yield "STALE_PRICE", age > shadow.limits["stale_bars"]
    away = Fraction(abs(wish.price_e8 - last), last) if wish.price_e8 else Fraction(0)
    yield "PRICE_COLLAR", away > share(shadow, "price_collar_fraction")


def sized(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask for the order's own value and quantity."""
    dearest = max(wish.price_e8, shadow.price[wish.symbol])
    value = abs(wish.lots) * shadow.terms.lot_e8[wish.symbol] * dearest
    most = share(shadow, "max_order_fraction") * max(shadow.equity(), 0)
    yield "MAX_ORDER_VALUE", value > most
    yield "MAX_ORDER_QUANTITY", abs(wish.lots) > shadow.limits["max_order_lots"]


def counted(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask how many orders came before, and whether this one just did."""
    lately = [one for one in shadow.sent if one[0] > shadow.now - 10**9]
    same = [
        one
        for one in shadow.sent
        if one[1:3] == (wish.strategy, wish.symbol) and (one[3] > 0) == (wish.lots > 0)
    ]
    equal = [one for one in shadow.sent if one[2:] == (wish.symbol, wish.lots, wish.price_e8)]
    window = shadow.limits["duplicate_window_ms"] * 10**6
    yield "ORDER_RATE", len(lately) >= shadow.limits["max_orders_per_second"]
    yield "ORDERS_PER_DAY", shadow.n_today >= shadow.limits["max_orders_per_day"]
    yield "REPEATED_ORDER", len(same) >= shadow.limits["max_repeats_per_minute"]
    yield "DUPLICATE_ORDER", any(shadow.now - one[0] < window for one in equal)


def exposed(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask how much of a symbol, a sector and all together would be held, at the worst."""
    unit, sectors = shadow.unit(wish.symbol), shadow.terms.sectors
    up, down = shadow.extremes(wish.symbol)
    ends = (up + wish.lots, down) if wish.lots > 0 else (up, down + wish.lots)
    after = max(map(abs, ends)) * unit
    others = {s: abs(shadow.worst(s)) for s in shadow.lots if s != wish.symbol}
    sector = sum(v for s, v in others.items() if sectors[s] == sectors[wish.symbol])
    gross = sum(others.values()) + after
    equity, opened = max(shadow.equity(), 0), max(shadow.opened, 0)
    edge = 0 if wish.lots > 0 else 1
    net = wish.side * sum(shadow.extremes(s)[edge] * shadow.unit(s) for s in shadow.lots)
    yield "MAX_ASSET_FRACTION", after > share(shadow, "max_asset_fraction") * equity
    yield "MAX_SECTOR_FRACTION", sector + after > share(shadow, "max_sector_fraction") * equity
    yield "MAX_LEVERAGE", gross > share(shadow, "max_leverage") * equity
    yield "MAX_GROSS_EXPOSURE", gross > share(shadow, "max_gross_fraction") * opened
    net_after = net + abs(wish.lots) * unit
    yield "MAX_NET_EXPOSURE", net_after > share(shadow, "max_net_fraction") * opened


def at_risk(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask for the value at risk at every quantity on the way to the order's."""
    symbol = wish.symbol
    seen = n_seen(shadow, symbol)
    if seen < shadow.limits["var_min_bars"]:
        yield "VAR_WARMUP", True
        return
    known = min([seen, *(n_seen(shadow, s) for s in shadow.lots if shadow.worst(s))])
    if not any(shadow.worst(s) for s in shadow.lots):
        known = min(seen, _n_bars(shadow))
    rest = earned(shadow, but=symbol)
    lot = wish.side * shadow.unit(symbol) / MONEY
    each = [lot * (move or 0.0) for move in shadow.moves[symbol]]
    up, down = shadow.extremes(symbol)
    edge = up if wish.lots > 0 else -down
    start, reached = max(edge, 0), edge + abs(wish.lots)
    scale = math.sqrt(max(DAY_NS / shadow.terms.bar_ns, 1.0))
    limit = shadow.limits["max_var_fraction"] * max(shadow.equity(), 0) / MONEY / scale
    points = {start + 1, reached, *_turns(rest, each, limit)}
    over = [
        largest_var([r + x * e for r, e in zip(rest, each, strict=True)], known) - limit
        for x in sorted(points)
        if start < x <= reached
    ]
    yield "MAX_VAR", _is_over(max(over, default=-math.inf), limit)


def alike(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask whether the symbol moves with the rest of the book."""
    if not any(shadow.worst(s) for s in shadow.lots if s != wish.symbol):
        return
    n_bars, own = shadow.limits["correlation_bars"], shadow.moves[wish.symbol]
    if n_seen(shadow, wish.symbol, n_bars) < math.ceil(0.75 * n_bars):
        yield "CORRELATION_WARMUP", True
        return
    rest = earned(shadow, but=wish.symbol)[-n_bars:]
    spread, still = deviation(rest), 1e-9 * shadow.equity() / MONEY
    if spread <= still * (1 - CLOSE_TO):
        # A book that does not move correlates with nothing.
        yield "MAX_CORRELATION", False
        return
    if spread <= still * (1 + CLOSE_TO):
        yield "MAX_CORRELATION", None
        return
    found = wish.side * pearson([move or 0.0 for move in own[-n_bars:]], rest)
    limit = shadow.limits["max_correlation"]
    yield "MAX_CORRELATION", _is_over(found - limit, limit)


def lost(shadow: Shadow, _: Wish) -> Iterator[Found]:
    """Ask what the day has lost."""
    loss = shadow.opened - shadow.equity()
    limit = share(shadow, "max_daily_loss_fraction") * shadow.opened
    yield "MAX_DAILY_LOSS", shadow.opened <= 0 or loss >= limit


def admitted(shadow: Shadow, wish: Wish) -> Iterator[Found]:
    """Ask whether the symbol may be traded, and be sold short."""
    yield "RESTRICTED_SYMBOL", wish.symbol in shadow.limits["restricted"]
    hours = shadow.terms.hours.get(wish.symbol)
    is_open = hours is None or any(opens <= shadow.now < closes for opens, closes in hours)
    yield "MARKET_CLOSED", not is_open
    may = shadow.limits["allow_short"] and wish.symbol in shadow.terms.shortable
    yield "SHORT_SALE", wish.lots < 0 and not may and -wish.lots > reducible(shadow, wish)


LAWS: tuple[Callable[[Shadow, Wish], Iterator[Found]], ...] = (
    switched,
    priced,
    sized,
    counted,
    exposed,
    at_risk,
    alike,
    lost,
    admitted,
)


def n_seen(shadow: Shadow, symbol: str, lately: int = 0) -> int:
    """Return how many returns of the newest ``lately`` bars are known; of all for 0."""
    return sum(move is not None for move in shadow.moves[symbol][-lately:])


def earned(shadow: Shadow, but: str) -> list[float]:
    """Return what the book without one symbol would have earned in each bar of the window."""
    held = {s: shadow.worst(s) / MONEY for s in shadow.lots if s != but}
    columns = zip(*(shadow.moves[s] for s in held), strict=True)
    weights = list(held.values())
    return [
        math.fsum(w * (move or 0.0) for w, move in zip(weights, column, strict=True))
        for column in columns
    ]


def largest_var(gains: list[float], known: int) -> float:
    """Return the larger of the historical VaR at 95 % and the normal one, decay 0.94."""
    may_exceed = known * 5 // 100
    losses = sorted((-gain for gain in gains), reverse=True)
    historical = max(losses[may_exceed], 0.0) if may_exceed < len(losses) else 0.0
    weights = [0.06 * 0.94**age for age in range(len(gains))]
    total = math.fsum(weights[: min(known, len(gains))])
    if not total:
        return historical
    squares = math.fsum(w * gain**2 for w, gain in zip(weights, reversed(gains), strict=True))
    return max(historical, 1.6448536269514722 * math.sqrt(squares / total))


def deviation(series: list[float]) -> float:
    """Return the standard deviation of a whole series."""
    mean = math.fsum(series) / len(series)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in series) / len(series))


def pearson(first: list[float], second: list[float]) -> float:
    """Return the correlation of two series; 0 where one is constant."""
    n = len(first)
    a = [x - math.fsum(first) / n for x in first]
    b = [x - math.fsum(second) / n for x in second]
    spread = math.sqrt(math.fsum(x * x for x in a) * math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / spread if spread else 0.0


def _n_bars(shadow: Shadow) -> int:
    return sum(any(m is not None for m in bar) for bar in zip(*shadow.moves.values(), strict=True))


def _turns(rest: list[float], each: list[float], limit: float) -> Iterator[int]:
    """Yield the lots beside which some bar begins or ceases to lose more than the limit."""
    for r, e in zip(rest, each, strict=True):
        turn = (-limit - r) / e if e else math.inf
        if abs(turn) < 2**52:
            yield from range(math.floor(turn), math.floor(turn) + 3)


def _is_over(by: float, limit: float) -> bool | None:
    return None if abs(by) <= CLOSE_TO * abs(limit) else by > 0
