"""What may be lost: value at risk, moving with the book, and the loss of the day."""

import math

from models.portfolio.ledger import MONEY_SCALE
from models.risk.account import FRACTION_SCALE, Account, scaled
from models.risk.correlation import correlation
from models.risk.limits import UNBOUNDED_LOTS, Finding, Order
from models.risk.sessions import DAY_NS
from models.risk.var import Variance, historical_room, historical_var, normal_var

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


def value_at_risk(account: Account, order: Order) -> Finding:
    """Keep the day's value at risk, by the larger of both measures, below its share of equity.

    Too few returns of the symbol are no small risk but an unknown one.
    """
    limits, scenarios = account.limits, account.scenarios
    seen = scenarios.seen[scenarios.index[order.symbol]]
    if seen < limits.var_min_bars:
        form = "{about} has {actual} returns; expected {limit} at least"
        return Finding("VAR_WARMUP", form, limits.var_min_bars, seen, 0, order.symbol)
    n_bars, scale = scenarios.n_known(order.symbol), horizon(account.rules.bar_ns)
    side = 1 if order.lots > 0 else -1
    edge, unit = account.edge(order.symbol, side), account.book.notional(order.symbol, 1)
    rest = scenarios.rest(order.symbol)
    each = (side * unit / MONEY_SCALE) * scenarios.returns[scenarios.index[order.symbol]]
    reached, start = edge + abs(order.lots), max(edge, 0)
    variance = Variance.of(rest, each, n_bars)
    historical = historical_var(rest + float(reached) * each, n_bars)
    worst = max(historical, variance.var(reached))
    limit = limits.max_var_fraction
    money = limit * (max(account.equity, 0) / MONEY_SCALE) / scale
    most = min(historical_room(rest, each, start, money, n_bars), variance.room(start, money))
    actual = account.of_equity(round(worst * scale * MONEY_SCALE))
    form = "one-day VaR at 95 % would be {actual:.4f} of equity; the limit is {limit}"
    room = most - edge if most > start else 0
    return Finding("MAX_VAR", form, limit, actual, room)


def book_correlation(account: Account, order: Order) -> Finding:
    """Refuse new risk that moves with the rest of the book, or whose history cannot tell."""
    limit, n_bars = account.limits.max_correlation, account.limits.correlation_bars
    scenarios, symbol = account.scenarios, order.symbol
    if scenarios.is_alone(symbol):
        return Finding("MAX_CORRELATION", "nothing else is held", limit, 0.0, UNBOUNDED_LOTS)
    at = scenarios.index[symbol]
    seen = scenarios.seen_lately(symbol, n_bars)
    n_needed = math.ceil(n_bars * SEEN_SHARE)
    if seen < n_needed:
        form = "{about[0]} has {actual} returns in {about[1]} bars; expected {limit} at least"
        return Finding("CORRELATION_WARMUP", form, n_needed, seen, 0, (symbol, n_bars))
    # A short position gains where the symbol loses.
    side = 1 if order.lots > 0 else -1
    own, rest = scenarios.returns[at, -n_bars:], scenarios.rest(symbol)[-n_bars:]
    actual = side * correlation(own, rest)
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
    is_within = opened > 0 and loss * FRACTION_SCALE < scaled(limit) * opened
    form = "the day has lost {actual:.4f} of the equity it began with; the limit is {limit}"
    return Finding("MAX_DAILY_LOSS", form, limit, actual, UNBOUNDED_LOTS if is_within else 0)
