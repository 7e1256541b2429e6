"""Exposure in integers: what is held, and the worst that open orders can make of it.

Open buys may all fill and open sells may not, or the other way round; a symbol's exposure is the
larger of the two outcomes. Sums by sector and over all move by the difference of one symbol, so an
order costs the same however many positions there are.
"""

from collections.abc import Mapping
from typing import NamedTuple

from models.portfolio.ledger import Book
from models.portfolio.reservation import Reservations

UNCLASSIFIED = "Unclassified"


class Stake(NamedTuple):
    """One symbol in money units, signed: held, and if all open buys or all open sells filled."""

    held: int = 0
    up: int = 0
    down: int = 0

    def worst(self) -> int:
        """Return the outcome that is further from flat, signed; upwards if both are equal.

        Examples
        --------
        >>> Stake(5, 7, -2).worst(), Stake(0, 1, -3).worst(), Stake().worst()
        (7, -3, 0)
        """
        return self.up if abs(self.up) >= abs(self.down) else self.down


NOTHING = Stake()


def stake_of(book: Book, reservations: Reservations, symbol: str) -> Stake:
    """Return a symbol's stake at its last price, from the book and the open orders alone."""
    position = book.position(symbol)
    buying, selling = reservations.buying(symbol), reservations.selling(symbol)
    if not (position.lots or buying or selling):
        return NOTHING
    unit = book.lot_sizes[symbol] * position.price_e8
    held = position.lots * unit
    return Stake(held, held + buying * unit, held - selling * unit)


class Exposure:
    """Running sums of stakes; ``put`` replaces one symbol's.

    Parameters
    ----------
    sectors
        Sector by symbol; one that is not named is ``Unclassified``, a sector like any other.
    """

    def __init__(self, sectors: Mapping[str, str]) -> None:
        self.sectors = sectors
        self.stakes: dict[str, Stake] = {}
        self.held = self.gross = self.up = self.down = 0
        self.by_sector: dict[str, int] = {}

    def of(self, symbol: str) -> Stake:
        """Return a symbol's stake; nothing if it was never put."""
        return self.stakes.get(symbol, NOTHING)

    def sector(self, symbol: str) -> str:
        """Return the sector whose limit a symbol shares."""
        return self.sectors.get(symbol, UNCLASSIFIED)

    def put(self, symbol: str, stake: Stake) -> None:
        """Replace a symbol's stake and move all sums by the difference."""
        before = self.stakes.get(symbol, NOTHING)
        if before == stake:
            return
        self.stakes[symbol] = stake
        widened = abs(stake.worst()) - abs(before.worst())
        sector = self.sectors.get(symbol, UNCLASSIFIED)
        self.by_sector[sector] = self.by_sector.get(sector, 0) + widened
        self.gross += widened
        self.held += stake.held - before.held
        self.up += stake.up - before.up
        self.down += stake.down - before.down
