"""The account as the controls see it during one bar: equity, exposure and returns, computed once.

Prices stand still while a bar is decided; only reservations grow. So equity is fixed, and exposure
moves by what each approved order adds.
"""

import math

import numpy as np

from models.portfolio.ledger import MONEY_SCALE, Book
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.correlation import FloatArray, book_returns
from models.risk.limits import RiskLimits

# Fractions are compared as integers of 1e-9, so that no verdict depends on float rounding.
FRACTION_SCALE = 10**9


def scaled(fraction: float) -> int:
    """Return a fraction as an integer of 1e-9."""
    return round(fraction * FRACTION_SCALE)


class Account:
    """Exposure of one portfolio with every open order counted as filled.

    Parameters
    ----------
    book, reservations
        The account; reservations are added to by :meth:`reserve`.
    limits
        The portfolio's limits.
    symbols
        The universe in symbol order: the rows of ``window``.
    window
        Log returns, shape (n_symbols, n_bars), NaN where a symbol had no bar.
    """

    def __init__(
        self,
        book: Book,
        reservations: Reservations,
        limits: RiskLimits,
        symbols: tuple[str, ...],
        window: FloatArray,
    ) -> None:
        self.book = book
        self.reservations = reservations
        self.limits = limits
        self.index = {symbol: i for i, symbol in enumerate(symbols)}
        self.seen = np.isfinite(window).sum(axis=1)
        self.returns = np.nan_to_num(window)
        self.equity = book.equity()
        self.exposed = {s: book.position(s).lots + reservations.buying(s) for s in symbols}
        self.gross = sum(abs(book.notional(s, lots)) for s, lots in self.exposed.items())
        self.weights = np.array([self._weight(symbol) for symbol in symbols])
        self.book_returns = book_returns(self.returns, self.weights)

    def _weight(self, symbol: str) -> float:
        return self.book.notional(symbol, self.exposed[symbol]) / MONEY_SCALE

    def reserve(self, order: OpenOrder) -> None:
        """Count an approved order: it is exposure from now on if it buys."""
        self.reservations.reserve(order)
        if order.lots < 0:
            return
        symbol, at = order.symbol, self.index[order.symbol]
        before = self.book.notional(symbol, self.exposed[symbol])
        self.exposed[symbol] += order.lots
        after = self.book.notional(symbol, self.exposed[symbol])
        self.gross += abs(after) - abs(before)
        added = (after - before) / MONEY_SCALE
        self.weights[at] += added
        self.book_returns = self.book_returns + added * self.returns[at]

    def is_alone(self, symbol: str) -> bool:
        """Tell whether nothing but ``symbol`` is exposed."""
        at = self.index[symbol]
        return int(np.count_nonzero(self.weights)) == int(self.weights[at] != 0.0)

    def rest_returns(self, symbol: str) -> FloatArray:
        """Return what the book without ``symbol`` earned per bar, shape (n_bars,)."""
        at = self.index[symbol]
        rest: FloatArray = self.book_returns - self.weights[at] * self.returns[at]
        return rest

    def of_equity(self, money: int) -> float:
        """Return money as a fraction of equity; infinite where there is no equity."""
        return money / self.equity if self.equity > 0 else math.inf
