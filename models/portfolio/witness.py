"""The witness: cash and lots once more, from executions alone and by arithmetic of its own.

The book must agree with it after every bar; where they differ one of them is wrong, and an account
that does not know what it holds must not trade. Nothing here is shared with the ledger.
"""

import msgspec

from models.portfolio.ledger import Book, Fill


class Witness(msgspec.Struct):
    """Cash in money units and lots by symbol, as the executions say."""

    cash: int
    lots: dict[str, int] = msgspec.field(default_factory=dict)

    def saw(self, fill: Fill, lot_size_e8: int) -> None:
        """Take a trade note: signed lots leave against cash at the price, and the fee goes."""
        paid = fill.price_e8 * lot_size_e8 * fill.lots
        self.cash = self.cash - paid - fill.fee
        self.lots[fill.symbol] = self.lots.get(fill.symbol, 0) + fill.lots

    def received(self, cash: int) -> None:
        """Take a note of cash that came (negative: went) without a trade."""
        self.cash += cash

    def holds(self, symbol: str, lots: int) -> None:
        """Take a note of a position that a record states, as an opening or a split does."""
        self.lots[symbol] = lots

    def differences(self, book: Book) -> list[str]:
        """Say where the book differs, cash first, then symbols in order; empty if nowhere."""
        found = []
        if book.cash != self.cash:
            found.append(f"cash is {book.cash}, executions say {self.cash}")
        held = {symbol: position.lots for symbol, position in book.positions.items()}
        for symbol in sorted(held.keys() | self.lots.keys()):
            mine, theirs = self.lots.get(symbol, 0), held.get(symbol, 0)
            if mine != theirs:
                found.append(f"{symbol} is {theirs} lots, executions say {mine}")
        return found
