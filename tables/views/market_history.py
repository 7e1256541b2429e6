"""The last bars of every symbol that is decided about, for the page that draws them."""

from bisect import insort
from typing import NamedTuple

from tables.views.decision_row import DecisionRow

# What a screen can show; 200 bars of a line of 800 bytes take 160 kB a symbol.
BARS_MAX = 200
# All of them full take 80 MB; symbols of a larger universe that come later are left out, and said.
MARKETS_MAX = 500


class Market(NamedTuple):
    """A symbol in the book of one portfolio."""

    symbol: str
    portfolio: str


class MarketHistory:
    """The newest lines of each market.

    Parameters
    ----------
    bars_max, markets_max
        How many lines a market keeps, and how many markets are kept.
    """

    def __init__(self, bars_max: int = BARS_MAX, markets_max: int = MARKETS_MAX) -> None:
        self.left_out: set[Market] = set()
        self._bars_max = bars_max
        self._markets_max = markets_max
        self._rows: dict[Market, list[DecisionRow]] = {}

    def add(self, row: DecisionRow) -> None:
        """Take a line that was not there before; the oldest bar goes first."""
        market = Market(row.symbol, row.portfolio)
        rows = self._rows.get(market)
        if rows is None:
            if len(self._rows) >= self._markets_max:
                # Bounded as well: names invented by someone else must not fill the memory.
                if len(self.left_out) < self._markets_max:
                    self.left_out.add(market)
                return
            rows = self._rows[market] = []
        insort(rows, row, key=lambda kept: kept.key)
        if len(rows) > self._bars_max:
            del rows[0]

    def markets(self) -> list[Market]:
        """Return the markets that are kept, in order of symbol and portfolio."""
        return sorted(self._rows)

    def rows(self, market: Market) -> list[DecisionRow]:
        """Return the lines of a market, the oldest first; none if it is not kept."""
        return list(self._rows.get(market, ()))
