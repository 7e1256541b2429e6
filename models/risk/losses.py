"""What may be lost: value at risk, moving with the book, and the loss of the day."""

import math
from typing import NamedTuple

from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import FRACTION_SCALE, Account, scaled_limit
from models.risk.correlation import Centred, FloatArray
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order
from models.risk.sessions import DAY_NS
from models.risk.var import (
    Variance,
    historical_room,
    historical_var,
    keeps_historical,
    normal_var,
)

# A book whose bars deviate by less of equity does not move: what is left there is rounding.
STILL_FRACTION = 1e-9

# A symbol that misses some bars of the window can still be judged; one that misses more cannot.
SEEN_SHARE = 0.75


class AtRisk:
    """The account's value at risk over one day, by both measures, in the portfolio's currency.

    A bar shorter than a day is scaled by the square root of time.

    Parameters
    ----------
    account
        Open orders count as filled, in the way that is worst.
    """

    def __init__(self, account: Account) -> None:
        scenarios = account.scenarios
        n_bars = scenarios.n_known()
        scale = horizon(account.rules.bar_ns)
        self.n_bars = n_bars
        self.historical = scale * historical_var(scenarios.earned, n_bars)
        self.normal = scale * normal_var(scenarios.earned, n_bars)


def horizon(bar_ns: int) -> float:
    """Return by how much a day's value at risk exceeds a bar's.

    Examples
    --------
    >>> horizon(DAY_NS), horizon(DAY_NS // 100)
    (1.0, 10.0)
    """
    return math.sqrt(max(DAY_NS / bar_ns, 1.0))


class _Lines(NamedTuple):
    """What each bar would have earned, as a straight line in the lots held in an order's direction.

    ``edge`` are the lots that count already, ``start`` those of them that are risk; ``limit`` is
    the largest loss of a bar.
    """

    rest: FloatArray
    each: FloatArray
    n_bars: int
    edge: int
    start: int
    limit: float

    @classmethod
    def of(cls, account: Account, order: Order) -> "_Lines":
        """Look at an account from an order."""
        scenarios, symbol = account.scenarios, order.symbol
        side = 1 if order.lots > 0 else -1
        unit, edge = account.book.notional(symbol, 1), account.edge(symbol, side)
        money = account.limits.max_var_fraction * (max(account.equity, 0) / MONEY_SCALE)
        return cls(
            scenarios.rest(symbol),
            (side * unit / MONEY_SCALE) * scenarios.returns[scenarios.index[symbol]],
            scenarios.n_known(symbol),
            edge,
            max(edge, 0),
            money / horizon(account.rules.bar_ns),
        )


def value_at_risk(account: Account, order: Order) -> Finding:
    """Keep the day's value at risk, by the larger of both measures, below its share of equity.

    Too few returns of the symbol are no small risk but an unknown one.
    """
    limits, scenarios = account.limits, account.scenarios
    seen = scenarios.seen[scenarios.index[order.symbol]]
    if seen < limits.var_min_bars:
        form = "{about} has {actual} returns; expected {limit} at least"
        return Finding("VAR_WARMUP", form, limits.var_min_bars, seen, 0, order.symbol)
    rest, each, n_bars, edge, start, money = _Lines.of(account, order)
    reached = edge + abs(order.lots)
    variance = Variance.of(rest, each, n_bars)
    historical = historical_var(rest + float(reached) * each, n_bars)
    worst = max(historical, variance.var(reached))
    most = min(historical_room(rest, each, start, money, n_bars), variance.room(start, money))
    scale = horizon(account.rules.bar_ns)
    actual = account.of_equity(round(worst * scale * MONEY_SCALE))
    form = "one-day VaR at 95 % would be {actual:.4f} of equity; the limit is {limit}"
    room = most - edge if most > start else 0
    return Finding("MAX_VAR", form, limits.max_var_fraction, actual, room)


def keeps_value_at_risk(account: Account, order: Order, lots: int) -> bool:
    """Tell whether it is plain that :func:`value_at_risk` has room for ``lots``."""
    scenarios = account.scenarios
    if scenarios.seen[scenarios.index[order.symbol]] < account.limits.var_min_bars:
        return False
    rest, each, n_bars, edge, start, money = _Lines.of(account, order)
    most = edge + lots
    return (
        start < most
        and keeps_historical(rest, each, most, money, n_bars)
        and Variance.of(rest, each, n_bars).room(start, money) >= most
    )


def book_correlation(account: Account, order: Order) -> Finding:
    """Refuse new risk that moves with the rest of the book, or whose history cannot tell."""
    limit, n_bars = account.limits.max_correlation, account.limits.correlation_bars
    scenarios, symbol = account.scenarios, order.symbol
    if scenarios.is_alone(symbol):
        return Finding("MAX_CORRELATION", "nothing else is held", limit, 0.0, UNBOUNDED_LOTS)
    seen, own = scenarios.recent(symbol, n_bars)
    n_needed = math.ceil(n_bars * SEEN_SHARE)
    if seen < n_needed:
        form = "{about[0]} has {actual} returns in {about[1]} bars; expected {limit} at least"
        return Finding("CORRELATION_WARMUP", form, n_needed, seen, 0, (symbol, n_bars))
    # A short position gains where the symbol loses.
    side = 1 if order.lots > 0 else -1
    rest = Centred.of(scenarios.rest(symbol)[-n_bars:])
    still = STILL_FRACTION * (account.equity / MONEY_SCALE)
    moves = rest.squares > n_bars * still * still
    actual = side * own.correlation(rest) if moves else 0.0
    form = (
        "{about[0]} correlates {actual:.4f} with the rest of the book over {about[1]} bars; "
        "the limit is {limit}"
    )
    room = UNBOUNDED_LOTS if actual <= limit else 0
    return Finding("MAX_CORRELATION", form, limit, actual, room, (symbol, n_bars))


def daily_loss(account: Account, order: Order) -> Finding:
    """Stop new risk for the rest of a day that has lost its share of the equity it began with."""
    del order  # the loss is the same for any order
    limit, opened = account.limits.max_daily_loss_fraction, account.kept.day.open_equity
    loss = opened - account.equity
    actual = loss / opened if opened > 0 else math.inf
    is_within = opened > 0 and loss * FRACTION_SCALE < scaled_limit(limit) * opened
    form = "the day has lost {actual:.4f} of the equity it began with; the limit is {limit}"
    return Finding("MAX_DAILY_LOSS", form, limit, actual, UNBOUNDED_LOTS if is_within else 0)
