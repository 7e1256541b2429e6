"""One bar through the account: fills, marks, expiries, then a verdict for every row.

The order is fixed, so the outcome depends on the log alone: fills at this bar's fill prices, new
marks and returns, expiries, then decisions, reducing orders first, then by falling confidence,
ties by symbol.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.execution.fills import paper_fill
from models.portfolio.ledger import Book, Fill, mark, post
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.account import Account
from models.risk.controls import check_buy
from models.risk.correlation import FloatArray, push_returns
from models.risk.limits import Finding, RiskLimits
from models.risk.sizing import is_worth_trading, lots_for


class Row(NamedTuple):
    """One symbol's bar as risk sees it; ``fill_price``, ``confidence`` and target may be NaN."""

    symbol: str
    close: float
    fill_price: float
    confidence: float
    target_fraction: float


class AccountRules(NamedTuple):
    """What an epoch says about a portfolio."""

    symbols: tuple[str, ...]
    limits: RiskLimits
    slippage_bps: float
    fee_bps: float
    order_expiry_bars: int


class AccountState(NamedTuple):
    """Everything the account remembers; ``decide`` consumes it.

    ``window`` holds log returns of shape (n_symbols, correlation_bars), ``last_close`` the close
    of each symbol's last bar, NaN before the first.
    """

    book: Book
    reservations: Reservations
    window: FloatArray
    last_close: FloatArray


class Verdict(NamedTuple):
    """What is decided about one row: signed lots asked for, whether they may be, and why not."""

    row: Row
    lots: int
    approved: bool
    allowed_lots: int
    breaches: tuple[Finding, ...]
    note: str


class Executed(NamedTuple):
    """What happened to an open order: its fill, or None where it expired."""

    order: OpenOrder
    fill: Fill | None


class Outcome(NamedTuple):
    """What one bar causes, in order."""

    executions: tuple[Executed, ...]
    verdicts: tuple[Verdict, ...]


def initial_state(cash: int, lot_sizes: dict[str, int], rules: AccountRules) -> AccountState:
    """Return an account with ``cash`` (money units) and nothing else."""
    n_symbols = len(rules.symbols)
    return AccountState(
        Book(cash, lot_sizes),
        Reservations(),
        np.full((n_symbols, rules.limits.correlation_bars), np.nan),
        np.full(n_symbols, np.nan),
    )


def decide(
    state: AccountState, rules: AccountRules, close_ns: int, rows: Sequence[Row]
) -> tuple[AccountState, Outcome]:
    """Fold one bar of all partitions; ``rows`` are in symbol order, one per symbol at most.

    A boundary at which nothing traded is no bar of the account: no order ages over a weekend.
    """
    if not rows:
        return state, Outcome((), ())
    executions = _settle(state, rules, {row.symbol: row.fill_price for row in rows})
    mark(state.book, {row.symbol: row.close for row in rows})
    state = _remember(state, rules, rows)
    account = Account(state.book, state.reservations, rules.limits, rules.symbols, state.window)
    wanted = [(row, _wanted_lots(account, rules, row)) for row in rows]
    verdicts = []
    for row, lots in sorted(wanted, key=_priority):
        verdict = _verdict(account, row, lots)
        if verdict.approved and lots:
            account.reserve(OpenOrder(row.symbol, lots, close_ns))
        verdicts.append(verdict)
    return state, Outcome(tuple(executions), tuple(verdicts))


def _settle(
    state: AccountState, rules: AccountRules, fill_prices: dict[str, float]
) -> list[Executed]:
    executions = []
    for order in list(state.reservations.orders):
        fill = paper_fill(
            state.book,
            order,
            fill_prices.get(order.symbol, math.nan),
            slippage_bps=rules.slippage_bps,
            fee_bps=rules.fee_bps,
        )
        order.bars_waited += 1
        if fill is None and order.bars_waited < rules.order_expiry_bars:
            continue
        state.reservations.release(order)
        if fill is not None:
            post(state.book, fill)
        executions.append(Executed(order, fill))
    return executions


def _remember(state: AccountState, rules: AccountRules, rows: Sequence[Row]) -> AccountState:
    index = {symbol: i for i, symbol in enumerate(rules.symbols)}
    returns = np.full(len(rules.symbols), np.nan)
    last_close = state.last_close.copy()
    for row in rows:
        at = index[row.symbol]
        returns[at] = math.log(row.close / last_close[at])
        last_close[at] = row.close
    return state._replace(window=push_returns(state.window, returns), last_close=last_close)


def _wanted_lots(account: Account, rules: AccountRules, row: Row) -> int:
    if not math.isfinite(row.target_fraction):
        return 0
    desired = max(lots_for(account, row.symbol, row.target_fraction), 0)
    held = account.book.position(row.symbol).lots + account.reservations.lots(row.symbol)
    # An open buy may expire, so only what is held can be sold.
    change = max(desired - held, -_sellable(account, row.symbol))
    if desired == 0:
        return min(change, 0)  # what should not be held is sold, however little it is
    worth = is_worth_trading(account, row.symbol, change, rules.limits.min_trade_fraction)
    return change if worth else 0


def _priority(wanted: tuple[Row, int]) -> tuple[int, float, str]:
    row, lots = wanted
    confidence = row.confidence if math.isfinite(row.confidence) else 0.0
    return (0 if lots < 0 else 1, -confidence, row.symbol)


def _verdict(account: Account, row: Row, lots: int) -> Verdict:
    if not math.isfinite(row.target_fraction):
        return Verdict(row, 0, True, 0, (), "WARMING_UP")  # noqa: FBT003  a record's field
    if lots > 0:
        breaches, allowed = check_buy(account, row.symbol, lots)
        return Verdict(row, lots, not breaches, allowed, tuple(breaches), "")
    allowed = _sellable(account, row.symbol) if lots else 0
    return Verdict(row, lots, True, allowed, (), "")  # noqa: FBT003  a record's field


def _sellable(account: Account, symbol: str) -> int:
    return account.book.position(symbol).lots - account.reservations.selling(symbol)
