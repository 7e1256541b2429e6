"""From which regime a result came: each position's gain goes to the regimes of the bar before.

A symbol that was said to be bull with probability 0.7 gives the bull regime 0.7 of what its
position earned until the next close. The three parts add up to what all positions earned; what is
left of a bar's change of equity are its fills and fees.
"""

from collections.abc import Mapping
from typing import NamedTuple

from models.portfolio.ledger import MONEY_SCALE, Book

Regimes = tuple[float, float, float]

_UNKNOWN: Regimes = (1 / 3, 1 / 3, 1 / 3)


class Earned(NamedTuple):
    """What positions earned in one bar, by regime; in the portfolio's currency."""

    bull: float
    bear: float
    sideways: float


class Attribution:
    """Remembers positions, prices and regimes of the last bar."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, int]] = {}
        self._regimes: dict[str, Regimes] = {}

    def step(self, book: Book, regimes: Mapping[str, Regimes]) -> Earned:
        """Attribute what the positions of the bar before have earned since, and remember these.

        A symbol whose regime was never said counts as each of the three alike.

        Examples
        --------
        >>> from models.portfolio.ledger import Position
        >>> whole, book = 10**8, Book(0, {"A": 10**8}, {"A": Position(10, 0, 100 * 10**8)})
        >>> by = Attribution()
        >>> by.step(book, {"A": (0.5, 0.25, 0.25)})
        Earned(bull=0.0, bear=0.0, sideways=0.0)
        >>> book.positions["A"].price_e8 = 104 * whole
        >>> by.step(book, {})
        Earned(bull=20.0, bear=10.0, sideways=10.0)
        """
        earned = [0.0, 0.0, 0.0]
        for symbol, (unit, price_e8) in self._held.items():
            gain = unit * (book.position(symbol).price_e8 - price_e8) / MONEY_SCALE
            for regime, share in enumerate(self._regimes.get(symbol, _UNKNOWN)):
                earned[regime] += gain * share
        self._held = {
            symbol: (position.lots * book.lot_sizes[symbol], position.price_e8)
            for symbol, position in book.positions.items()
            if position.lots
        }
        self._regimes.update(regimes)
        return Earned(*earned)
