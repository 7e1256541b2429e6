"""Changes of an account that are no trades: opening balances, splits and dividends.

Each tells the witness what the record states, so that the book must agree with it afterwards.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from models.errors import Refused
from models.portfolio.ledger import LARGEST_LOTS, LARGEST_PRICE_E8, PRICE_SCALE, Position
from models.risk.account import Account
from models.risk.decide import Executed, Outcome


class Opening(NamedTuple):
    """A position that exists already: signed lots, and the price in 1e-8 that was paid."""

    symbol: str
    lots: int
    price_e8: int


def open_book(account: Account, cash: int, positions: Sequence[Opening]) -> Outcome:
    """Replace cash and positions by what a record states; results and the day begin anew.

    A symbol without a bar yet is valued at its cost. Executions from before are in what is stated,
    so none of them can be corrected any more.

    Raises
    ------
    Refused
        If orders are open: they were approved against another book.
    """
    book, witness = account.book, account.kept.witness
    if account.reservations.orders:
        n_open = len(account.reservations.orders)
        raise Refused("ORDERS_OPEN", "positions", f"{n_open} open orders", "none")
    stated = {position.symbol: position for position in positions}
    book.cash, book.realised, book.fees = cash, 0, 0
    witness.cash = cash
    for symbol in sorted(book.positions.keys() | stated.keys()):
        lots, paid_e8 = stated[symbol][1:] if symbol in stated else (0, 0)
        known_e8 = book.position(symbol).price_e8
        cost = lots * book.lot_sizes[symbol] * paid_e8
        book.positions[symbol] = Position(lots, cost, known_e8 or paid_e8)
        witness.holds(symbol, lots)
        account.touch(symbol)
    account.kept.memory.settle()
    day = account.kept.day
    day.open_equity = day.peak_equity = account.equity
    return Outcome()


def split(account: Account, symbol: str, new: int, old: int) -> Outcome:
    """Make ``new`` lots of each ``old``: price and last close follow, cost stays.

    A fraction of a lot is paid out at the price after the split. Open orders of the symbol end:
    they were made for lots that are no more. So were its executions, which can be corrected no
    more.

    Raises
    ------
    Refused
        If what would be left of price or lots is nothing, or more than can be counted.
    """
    book, witness = account.book, account.kept.witness
    price_e8 = book.position(symbol).price_e8 * old // new
    if price_e8 == 0 < book.position(symbol).price_e8 or price_e8 > LARGEST_PRICE_E8:
        raise Refused("BAD_RATIO", "new", new, "a ratio that leaves a price from 1e-8 to 1e10")
    if abs(book.position(symbol).lots) * new // old > LARGEST_LOTS:
        raise Refused("BAD_RATIO", "new", new, f"a ratio that leaves at most {LARGEST_LOTS} lots")
    ended = []
    for order in account.reservations.orders:
        if order.symbol == symbol:
            account.release(order)
            ended.append(Executed(order, None, order.lots, "split"))
    position = book.position(symbol)
    lots = abs(position.lots) * new // old * (1 if position.lots >= 0 else -1)
    value = position.lots * book.lot_sizes[symbol] * position.price_e8
    # What neither lots nor the rounded price can hold is paid, so that no money is made or lost.
    rest = value - lots * book.lot_sizes[symbol] * price_e8
    position.lots, position.price_e8 = lots, price_e8
    position.cost -= rest
    book.cash += rest
    if lots == 0:
        book.realised -= position.cost
        position.cost = 0
    witness.holds(symbol, lots)
    witness.received(rest)
    account.kept.memory.settle(symbol)
    at = account.scenarios.index[symbol]
    if math.isfinite(account.kept.last_close[at]):
        account.kept.last_close[at] = price_e8 / PRICE_SCALE
    account.touch(symbol)
    return Outcome(tuple(ended))


def dividend(account: Account, symbol: str, amount_e8: int) -> Outcome:
    """Receive ``amount_e8`` (1e-8 of the currency) for each unit held; who is short pays."""
    book = account.book
    cash = book.position(symbol).lots * book.lot_sizes[symbol] * amount_e8
    book.cash += cash
    book.realised += cash
    account.kept.witness.received(cash)
    return Outcome()
