"""What the JSON records of the book's log do to an account, beside orders and executions."""

from collections.abc import Callable
from typing import Any

from tests.chaos.judge.exact import E8, E16, rounded, whole
from tests.chaos.judge.ledger import Account, Position

Said = dict[str, Any]


def _limit_change(account: Account, said: Said) -> None:
    account.changed |= said["limits"]


def _book_open(account: Account, said: Said) -> None:
    """Begin anew; a symbol without a bar yet is valued at its cost."""
    account.cash, account.realised, account.fees = whole(said["cash"], E16), 0, 0
    for symbol, held in account.positions.items():
        account.positions[symbol] = Position(price=held.price)
    for each in said.get("positions", []):
        lots, paid = account.lots(each["symbol"], each["quantity"]), rounded(each["price"])
        held = account.position(each["symbol"])
        held.lots, held.price = lots, held.price or paid
        held.cost = lots * account.lot_sizes[each["symbol"]] * paid
    account.day_open = account.equity()


def _split(account: Account, said: Said) -> None:
    """Make new lots of old ones; what whole lots at a whole price cannot hold is paid in cash."""
    held = account.position(said["symbol"])
    before = held.lots * account.unit(said["symbol"])
    lots = abs(held.lots) * said["new"] // said["old"]
    held.lots = lots if held.lots >= 0 else -lots
    held.price = held.price * said["old"] // said["new"]
    rest = before - held.lots * account.unit(said["symbol"])
    account.cash += rest
    held.cost -= rest
    if held.lots == 0:
        account.realised -= held.cost
        held.cost = 0


def _dividend(account: Account, said: Said) -> None:
    """Receive an amount for each unit held; who is short pays it."""
    units = account.position(said["symbol"]).lots * account.lot_sizes[said["symbol"]]
    account.cash += units * whole(said["amount"], E8)
    account.realised += units * whole(said["amount"], E8)


# Switches and weights move no money and no limit that is judged here.
CHANGES: dict[str, Callable[[Account, Said], None]] = {
    "limit_change": _limit_change,
    "book_open": _book_open,
    "split": _split,
    "dividend": _dividend,
    "trading_state": lambda _account, _said: None,
    "risk_parity": lambda _account, _said: None,
}
