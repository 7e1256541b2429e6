"""Scenarios: what the account would have earned in each bar of the window, kept up to date.

The vector moves by one symbol's returns when that symbol's exposure moves, and is made anew, in
symbol order, when a bar has moved all prices. Exposure is the worst that open orders can make of
it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from models.portfolio.ledger import MONEY_SCALE
from models.risk.correlation import Centred, FloatArray, book_returns
from models.risk.exposure import Stake


class Recent(NamedTuple):
    """The newest returns of all symbols: how many are known, and all, less their means."""

    n_seen: list[int]
    moves: FloatArray
    squares: list[float]

    @classmethod
    def of(cls, window: FloatArray, returns: FloatArray) -> "Recent":
        """Look at returns, shape (n_symbols, n_bars), with and without NaN."""
        means = np.add.reduce(returns, axis=1) / returns.shape[1]
        moves = returns - means[:, None]
        squares = np.add.reduce(moves * moves, axis=1)
        return cls(np.isfinite(window).sum(axis=1).tolist(), moves, squares.tolist())


class Scenarios:
    """Returns of the universe, and what the book would have earned.

    Parameters
    ----------
    symbols
        In symbol order: the rows of ``window``.
    window
        Log returns, shape (n_symbols, n_bars), NaN where a symbol had no bar, the newest last.
    earned
        The running vector of an account that was stored, shape (n_bars,); None to make it anew.
    """

    def __init__(
        self,
        symbols: tuple[str, ...],
        window: FloatArray,
        stakes: Mapping[str, Stake],
        earned: FloatArray | None = None,
    ) -> None:
        self.symbols = symbols
        self.index = {symbol: i for i, symbol in enumerate(symbols)}
        self.window = window
        self._look(stakes)
        if earned is not None:
            self.earned = earned

    def push(self, returns: FloatArray, stakes: Mapping[str, Stake]) -> None:
        """Move the window on by one bar and value all stakes at the new prices."""
        self.window = np.concatenate([self.window[:, 1:], returns[:, None]], axis=1)
        self._look(stakes)

    def _look(self, stakes: Mapping[str, Stake]) -> None:
        known = np.isfinite(self.window)
        self.seen: list[int] = known.sum(axis=1).tolist()
        self.n_bars = int(known.any(axis=0).sum())
        self.returns = np.where(known, self.window, 0.0)
        self.weights = np.array([weight_of(stakes.get(s)) for s in self.symbols], np.float64)
        self.earned = book_returns(self.returns, self.weights)
        self.n_exposed = int(np.count_nonzero(self.weights))
        self._shortest: int | None = None
        self._rest: tuple[str, FloatArray] | None = None
        self._recent: dict[int, Recent] = {}

    def recent(self, symbol: str, n_bars: int) -> tuple[int, Centred]:
        """Return how many of the newest ``n_bars`` returns of a symbol are known, and all of them.

        The first question of a bar is answered for all symbols.
        """
        found = self._recent.get(n_bars)
        if found is None:
            found = Recent.of(self.window[:, -n_bars:], self.returns[:, -n_bars:])
            self._recent[n_bars] = found
        at = self.index[symbol]
        return found.n_seen[at], Centred(found.moves[at], found.squares[at])

    def move(self, symbol: str, stake: Stake) -> None:
        """Take a symbol's new stake into the running vector."""
        at = self.index.get(symbol)
        if at is None:
            return
        weight, before = weight_of(stake), float(self.weights[at])
        added = weight - before
        if added:
            self.weights[at] = weight
            self.n_exposed += bool(weight) - bool(before)
            self._rest = None
            if not weight:
                self._shortest = None
            elif not before and self._shortest is not None:
                self._shortest = min(self._shortest, self.seen[at])
            self.earned = self.earned + added * self.returns[at]

    def rest(self, symbol: str) -> FloatArray:
        """Return what the book without ``symbol`` earned per bar, shape (n_bars,)."""
        if self._rest is None or self._rest[0] != symbol:
            at = self.index[symbol]
            self._rest = symbol, self.earned - self.weights[at] * self.returns[at]
        return self._rest[1]

    def is_alone(self, symbol: str) -> bool:
        """Tell whether nothing but ``symbol`` is exposed."""
        return self.n_exposed == int(self.weights[self.index[symbol]] != 0.0)

    def n_known(self, symbol: str = "") -> int:
        """Return the bars known of the shortest history in the book, ``symbol`` counted in."""
        if self._shortest is None:
            held = np.flatnonzero(self.weights).tolist()
            self._shortest = min((self.seen[at] for at in held), default=self.n_bars)
        return min(self._shortest, self.seen[self.index[symbol]]) if symbol else self._shortest


def weight_of(stake: Stake | None) -> float:
    """Return a stake as money, signed, in the portfolio's currency."""
    return 0.0 if stake is None else stake.worst() / MONEY_SCALE
