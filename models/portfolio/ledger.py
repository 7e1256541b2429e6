"""The account: integer lots, exact money, one position per symbol.

Money is an integer of 1e-16 of the currency, because a price has 8 decimals and a lot size has 8:
every product is exact and nothing is ever a float. Rounding happens in one place, fees, and always
against the account.
"""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

import msgspec

from models.errors import ModelError

_PRICE_DECIMALS = 8
PRICE_SCALE = 10**8
MONEY_SCALE = 10**16

# Beyond what any account holds, exact as floats, and within the 64 bits of a snapshot.
LARGEST_LOTS = 2**53
LARGEST_PRICE_E8 = 10**18

# Fees come in basis points with at most four decimals, and are charged in steps of 1e-8.
_BPS_SCALE = 10**4 * 10**4
_FEE_STEP = 10**8


class Position(msgspec.Struct):
    """Lots held (negative = short), what they cost, and the last price seen."""

    lots: int = 0
    cost: int = 0
    price_e8: int = 0


class Book(msgspec.Struct):
    """Cash, positions and results of one portfolio; ``lot_sizes`` are in 1e-8 of the unit."""

    cash: int
    lot_sizes: dict[str, int]
    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    realised: int = 0
    fees: int = 0

    def position(self, symbol: str) -> Position:
        """Return the position in ``symbol``, made if it is new."""
        found = self.positions.get(symbol)
        if found is None:
            found = self.positions[symbol] = Position()
        return found

    def notional(self, symbol: str, lots: int) -> int:
        """Return the value of ``lots`` at the last price, signed, in money units."""
        position = self.positions.get(symbol) or self.position(symbol)
        return lots * self.lot_sizes[symbol] * position.price_e8

    def equity(self) -> int:
        """Return cash plus the value of all positions at their last prices, in money units."""
        return self.cash + sum(self.notional(s, p.lots) for s, p in self.positions.items())

    def gross(self) -> int:
        """Return the sum of the absolute values of all positions, in money units."""
        return sum(abs(self.notional(s, p.lots)) for s, p in self.positions.items())


class Fill(NamedTuple):
    """A trade that happened: signed lots (positive = bought) at a price, and its fee."""

    symbol: str
    lots: int
    price_e8: int
    fee: int


def price_e8(price: float) -> int:
    """Return a price as an integer of 1e-8, rounded half to even.

    The number rounded is the shortest decimal that the float prints as, because that is what a
    consumer of the published price sees.

    Examples
    --------
    >>> price_e8(101.25), price_e8(9999999999.99)
    (10125000000, 999999999999000000)
    """
    shortest = repr(float(price))
    whole, _, decimals = shortest.partition(".")
    # As most prices are: nothing to round.
    if 0 < len(decimals) <= _PRICE_DECIMALS and "e" not in decimals:
        return int(whole + decimals.ljust(_PRICE_DECIMALS, "0"))
    scaled = Decimal(shortest).scaleb(_PRICE_DECIMALS)
    return int(scaled.to_integral_value(ROUND_HALF_EVEN))


def fee_of(notional: int, fee_bps: float) -> int:
    """Return the fee on an absolute notional in money units, rounded up to 1e-8.

    Examples
    --------
    >>> fee_of(10_000 * MONEY_SCALE, 0.5) == MONEY_SCALE // 2
    True
    """
    return -(-notional * round(fee_bps * 10**4) // (_BPS_SCALE * _FEE_STEP)) * _FEE_STEP


def mark(book: Book, prices: Mapping[str, float]) -> None:
    """Set the last price of each symbol given."""
    for symbol, price in prices.items():
        book.position(symbol).price_e8 = price_e8(price)


def post(book: Book, fill: Fill) -> None:
    """Book a fill: cash, lots, cost and realised result.

    The cost of what is closed leaves in proportion, rounded toward zero; the remainder goes with
    the last lot, so that a flat position has cost zero exactly.

    Raises
    ------
    ModelError
        If the fill has no lots or a price that is not positive.
    """
    if fill.lots == 0 or fill.price_e8 <= 0:
        raise ModelError(
            f"fill of {fill.symbol}: {fill.lots} lots at {fill.price_e8} e-8; expected lots and a "
            "positive price"
        )
    position = book.position(fill.symbol)
    unit = book.lot_sizes[fill.symbol] * fill.price_e8
    closing = _closing(position.lots, fill.lots)
    released = _share(position.cost, closing, position.lots)
    position.cost += -released + (fill.lots - closing) * unit
    position.lots += fill.lots
    book.realised += -closing * unit - released
    book.cash -= fill.lots * unit + fill.fee
    book.fees += fill.fee


def _closing(held: int, traded: int) -> int:
    """Return the part of ``traded`` that closes ``held``; it has the sign of ``traded``."""
    if held * traded >= 0:
        return 0
    return traded if abs(traded) <= abs(held) else -held


def _share(cost: int, closing: int, held: int) -> int:
    """Return the cost that leaves when ``closing`` (opposite in sign) closes part of ``held``."""
    if closing == 0:
        return 0
    if closing == -held:
        return cost
    sign = 1 if cost >= 0 else -1
    return sign * (abs(cost) * abs(closing) // abs(held))


def positions_of(fills: Iterable[Fill]) -> dict[str, int]:
    """Return lots by symbol from fills alone: the second, independent way to the same numbers."""
    lots: dict[str, int] = {}
    for fill in fills:
        lots[fill.symbol] = lots.get(fill.symbol, 0) + fill.lots
    return lots
