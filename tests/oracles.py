"""Second implementations, and accounts by hand to hold them against."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from models.execution.fills import price_of
from models.portfolio.ledger import MONEY_SCALE, Book, Position, price_e8
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.account import Account
from models.risk.decide import AccountRules, Outcome
from models.risk.limits import RiskLimits
from models.verification import SeenDecision, SeenExecution, SeenSnapshot
from tables.decisions import money_text


def account_of(
    prices: Mapping[str, float],
    *,
    cash: int = 1_000,
    held: Mapping[str, int] | None = None,
    orders: Iterable[tuple[str, int]] = (),
    limits: RiskLimits,
    window: npt.NDArray[np.float64] | None = None,
) -> Account:
    """Build an account: whole cash, one unit a lot, no returns seen unless given."""
    symbols = tuple(sorted(prices))
    book = Book(cash * MONEY_SCALE, dict.fromkeys(symbols, 10**8))
    for symbol in symbols:
        lots = (held or {}).get(symbol, 0)
        book.positions[symbol] = Position(lots, 0, price_e8(prices[symbol]))
    reservations = Reservations([OpenOrder(symbol, lots, 0) for symbol, lots in orders])
    if window is None:
        window = np.full((len(symbols), limits.correlation_bars), np.nan)
    return Account(book, reservations, limits, symbols, window)


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
        for order, fill in outcome.executions:
            self.executions.append(
                SeenExecution(
                    close_ns=close_ns,
                    execution_id=f"{order.symbol}@{order.placed_close_ns}>{close_ns}",
                    decision_id=f"{order.symbol}@{order.placed_close_ns}",
                    symbol=order.symbol,
                    kind="expire" if fill is None else "fill",
                    side="BUY" if order.lots > 0 else "SELL",
                    quantity=abs(order.lots),
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
    free = RiskLimits(100.0, 100.0, 1.0, 4, 0.0)
    return AccountRules(tuple(symbols), limits or free, slippage_bps, fee_bps, expiry)
