"""Second implementations, and accounts by hand to hold them against."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from models.execution.fills import price_of
from models.portfolio.ledger import MONEY_SCALE, Book, Position, price_e8
from models.portfolio.reservation import OpenOrder, Reservations
from models.portfolio.witness import Witness
from models.risk.account import Account, Day, Kept
from models.risk.decide import Outcome
from models.risk.limits import AccountRules, RiskLimits
from models.verification import SeenDecision, SeenExecution, SeenSnapshot
from tables.decisions import money_text

# Limits that never bind, over windows of four bars.
FREE = RiskLimits(
    max_asset_fraction=100.0,
    max_leverage=100.0,
    max_correlation=1.0,
    correlation_bars=4,
    min_trade_fraction=0.0,
    max_sector_fraction=100.0,
    max_gross_fraction=100.0,
    max_net_fraction=100.0,
    max_order_fraction=100.0,
    max_order_lots=10**12,
    price_collar_fraction=1.0,
    stale_bars=10_000,
    max_orders_per_second=10**12,
    max_orders_per_day=10**12,
    max_repeats_per_minute=10**12,
    duplicate_window_ms=0,
    max_var_fraction=100.0,
    var_bars=4,
    var_min_bars=0,
    max_daily_loss_fraction=1.0,
    max_bad_input_fraction=1.0,
)


def account_of(  # noqa: PLR0913  everything that an account can have
    prices: Mapping[str, float],
    *,
    cash: int = 1_000,
    held: Mapping[str, int] | None = None,
    orders: Iterable[tuple[str, int]] = (),
    limits: RiskLimits = FREE,
    window: npt.NDArray[np.float64] | None = None,
    now_ns: int = 0,
    **rules: Any,  # noqa: ANN401  any field of the rules
) -> Account:
    """Build an account: whole cash, one unit a lot, no moves unless a window is given.

    The day began with the equity that there is now; prices are of now.
    """
    symbols = tuple(sorted(prices))
    book = Book(cash * MONEY_SCALE, dict.fromkeys(symbols, 10**8))
    for symbol in symbols:
        lots = (held or {}).get(symbol, 0)
        book.positions[symbol] = Position(lots, 0, price_e8(prices[symbol]))
    reservations = Reservations(OpenOrder(symbol, lots, 0) for symbol, lots in orders)
    if window is None:
        window = np.zeros((len(symbols), limits.var_bars))
    witness = Witness(book.cash, {s: p.lots for s, p in book.positions.items()})
    kept = Kept(
        book,
        witness,
        reservations,
        window,
        np.array([prices[symbol] for symbol in symbols]),
        Day(0, book.equity(), book.equity()),
        now_ns=now_ns,
        bar_ns=now_ns,
        priced_ns={symbol: now_ns for symbol in symbols if prices[symbol]},
    )
    return Account(kept, AccountRules(symbols, limits, 0.0, 0.0, 5, **rules))


def exposure(account: Account, symbol: str, lots: int) -> tuple[Fraction, Fraction]:
    """Give a symbol's share of equity and the gross share, in fractions, if ``lots`` were bought.

    Open buys count as filled, open sells as not.
    """
    book = account.book
    equity = Fraction(book.cash, MONEY_SCALE)
    values = {}
    for name, position in book.positions.items():
        price = Fraction(position.price_e8, 10**8) * Fraction(book.lot_sizes[name], 10**8)
        equity += position.lots * price
        buying = sum(o.lots for o in account.reservations.orders if o.symbol == name and o.lots > 0)
        values[name] = (position.lots + buying + (lots if name == symbol else 0)) * price
    return values[symbol] / equity, sum((abs(v) for v in values.values()), Fraction(0)) / equity


class Published:
    """What a consumer would have seen of an account, bar by bar."""

    def __init__(self) -> None:
        self.decisions: list[SeenDecision] = []
        self.executions: list[SeenExecution] = []
        self.snapshots: list[SeenSnapshot] = []
        self.slots: set[tuple[int, str]] = set()

    def add(self, close_ns: int, outcome: Outcome, book: Book) -> None:
        """Publish one bar; an order is named by its symbol and the bar it was placed at."""
        for order, fill, lots, *_ in outcome.executions:
            self.executions.append(
                SeenExecution(
                    close_ns=close_ns,
                    execution_id=f"{order.symbol}@{order.placed_ns}>{close_ns}",
                    decision_id=f"{order.symbol}@{order.placed_ns}",
                    symbol=order.symbol,
                    kind="expire" if fill is None else "fill",
                    side="BUY" if order.lots > 0 else "SELL",
                    quantity=abs(lots),
                    price=0.0 if fill is None else price_of(fill),
                    fee=0.0 if fill is None else fill.fee / MONEY_SCALE,
                )
            )
        for verdict in outcome.verdicts:
            symbol = verdict.row.symbol
            self.slots.add((close_ns, symbol))
            self.decisions.append(
                SeenDecision(
                    close_ns=close_ns,
                    symbol=symbol,
                    decision_id=f"{symbol}@{close_ns}",
                    value_hash=repr(verdict).encode(),
                    action="BUY" if verdict.lots > 0 else "SELL" if verdict.lots < 0 else "HOLD",
                    quantity=abs(verdict.lots),
                    approved=verdict.approved,
                    price=verdict.row.close,
                )
            )
        self.snapshots.append(SeenSnapshot(close_ns, money_text(book.equity())))


def rules_of(
    symbols: Sequence[str],
    limits: RiskLimits | None = None,
    *,
    slippage_bps: float = 0.0,
    fee_bps: float = 0.0,
    expiry: int = 5,
) -> AccountRules:
    """Build a portfolio's rules; without limits they never bind."""
    return AccountRules(tuple(symbols), limits or FREE, slippage_bps, fee_bps, expiry)
