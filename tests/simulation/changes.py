"""What records do to the judge's account: reports of venues, and changes that are no trades.

Each gives the executions that the world must hear of: (order id, kind, symbol, signed lots).
"""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from tests.simulation.shadow import MONEY, PRICE, Known, Shadow

Said = Mapping[str, Any]
Heard = tuple[str, str, str, int]
CURRENCY = "USD"
FIXED = {"var_bars", "correlation_bars"}


class Refusal(Exception):  # noqa: N818  it is the answer, not an error
    """A record must become a dead letter of this reason."""


def whole_lots(shadow: Shadow, symbol: str, quantity: float) -> int:
    """Return a quantity as lots, or refuse it."""
    if symbol not in shadow.lots:
        raise Refusal("UNKNOWN_SYMBOL")
    lots = Fraction(repr(quantity)) * PRICE / shadow.terms.lot_e8[symbol]
    if lots.denominator != 1 or abs(lots) > 2**53:
        raise Refusal("BAD_QUANTITY")
    return int(lots)


def report(shadow: Shadow, said: Said, day: int) -> Iterator[Heard]:
    """Book what a venue reports."""
    if said["currency"] != CURRENCY:
        raise Refusal("CURRENCY_MISMATCH")
    symbol, one = said["symbol"], f"execution:{said['execution_id']}"
    size = whole_lots(shadow, symbol, said["quantity"]) if said["quantity"] else 0
    lots = size if said["side"] == "BUY" else -size
    price, fee = (_exact(said.get("price", 0), PRICE), _exact(said.get("fee", 0), MONEY))
    if said["kind"] == "correction":
        yield from _correction(shadow, said, day, (lots, price, fee))
        return
    order = shadow.orders.get(said["decision_id"])
    fits = order is not None and order.symbol == symbol and (not lots or order.lots * lots > 0)
    if said["kind"] not in {"fill", "partial_fill"}:
        shadow.known[one] = Known(day, said["decision_id"], symbol)
        if fits and order is not None:
            del shadow.orders[said["decision_id"]]
            yield said["decision_id"], "expire", symbol, order.lots
        return
    is_surprise = not fits or order is None or abs(lots) > abs(order.lots)
    if fits and order is not None:
        order.lots -= lots
        if is_surprise or not order.lots:
            del shadow.orders[said["decision_id"]]
    shadow.book(symbol, lots, price, fee)
    shadow.known[one] = Known(day, said["decision_id"], symbol, lots, price, fee)
    if is_surprise:
        shadow.switches.setdefault("portfolio", "REDUCING")
    yield said["decision_id"], "fill", symbol, lots


def _correction(
    shadow: Shadow, said: Said, day: int, right: tuple[int, int, int]
) -> Iterator[Heard]:
    corrected = f"execution:{said['corrects']}"
    wrong = shadow.known.get(corrected)
    if wrong is None or not wrong.lots or wrong.symbol != said["symbol"]:
        raise Refusal("UNKNOWN_EXECUTION")
    order = shadow.orders.get(wrong.order_id)
    is_of_order = order is not None and order.symbol == wrong.symbol
    most = wrong.lots + (order.lots if is_of_order and order is not None else 0)
    if right[0] * wrong.lots < 0 or abs(right[0]) > abs(most):
        shadow.switches.setdefault("portfolio", "REDUCING")
    if order is not None and order.symbol == wrong.symbol and order.lots * wrong.lots > 0:
        order.lots += wrong.lots - (right[0] if right[0] * wrong.lots > 0 else 0)
        if order.lots * wrong.lots <= 0:
            del shadow.orders[wrong.order_id]
    undone = (-wrong.lots, wrong.price_e8, -wrong.fee)
    for trade in (undone, right):
        if trade[0]:
            shadow.book(wrong.symbol, *trade)
            yield wrong.order_id, "fill", wrong.symbol, trade[0]
    shadow.known[corrected] = Known(wrong.day, wrong.order_id, wrong.symbol)
    one = f"execution:{said['execution_id']}"
    shadow.known[one] = Known(day, wrong.order_id, wrong.symbol, *right)


def _limit_change(shadow: Shadow, said: Said) -> Iterator[Heard]:
    if any(key not in shadow.limits or key in FIXED for key in said["limits"]):
        raise Refusal("BAD_LIMIT")
    shadow.limits |= said["limits"]
    yield from ()


def _trading_state(shadow: Shadow, said: Said) -> Iterator[Heard]:
    scope = said["scope"]
    key = f"{scope}:{said['name']}" if scope in {"strategy", "symbol"} else scope
    if scope == "symbol" and said["action"] != "resume":
        whole_lots(shadow, said["name"], 0)
    if said["action"] == "resume":
        shadow.switches.pop(key, None)
    elif said["action"] == "halt":
        shadow.switches[key] = "HALTED"
    elif shadow.switches.get(key) == "HALTED" and said["role"] != "admin":
        raise Refusal("FORBIDDEN")
    else:
        shadow.switches[key] = "REDUCING"
    yield from ()


def _book_open(shadow: Shadow, said: Said) -> Iterator[Heard]:
    stated = {
        one["symbol"]: (whole_lots(shadow, one["symbol"], one["quantity"]), one["price"])
        for one in said["positions"]
    }
    if shadow.orders:
        raise Refusal("ORDERS_OPEN")
    shadow.cash, shadow.realised, shadow.fees = _exact(said["cash"], MONEY), 0, 0
    for symbol in shadow.lots:
        lots, price = stated.get(symbol, (0, 0))
        paid = _exact(price, PRICE)
        shadow.lots[symbol] = lots
        shadow.cost[symbol] = lots * shadow.terms.lot_e8[symbol] * paid
        shadow.price[symbol] = shadow.price[symbol] or paid
    _settle(shadow, {*shadow.lots})
    shadow.base = shadow.cash + sum(shadow.cost.values())
    shadow.opened = shadow.peak = shadow.equity()
    yield from ()


def _settle(shadow: Shadow, symbols: set[str]) -> None:
    """Forget what executions were: they are part of other lots, or of a book that was stated."""
    shadow.known |= {
        one: Known(of.day, of.order_id, of.symbol)
        for one, of in shadow.known.items()
        if of.symbol in symbols
    }


def _split(shadow: Shadow, said: Said) -> Iterator[Heard]:
    symbol, ratio = said["symbol"], Fraction(said["new"], said["old"])
    for order_id, order in list(shadow.orders.items()):
        if order.symbol == symbol:
            del shadow.orders[order_id]
            yield order_id, "expire", symbol, order.lots
    before, was_worth = shadow.lots[symbol], shadow.lots[symbol] * shadow.unit(symbol)
    after = int(abs(before) * ratio)
    shadow.lots[symbol] = after if before >= 0 else -after
    shadow.price[symbol] = int(shadow.price[symbol] / ratio)
    _settle(shadow, {symbol})
    if symbol in shadow.last:
        shadow.last[symbol] = shadow.price[symbol] / PRICE
    paid = was_worth - shadow.lots[symbol] * shadow.unit(symbol)
    shadow.cash += paid
    shadow.cost[symbol] -= paid
    if not after:
        shadow.realised -= shadow.cost[symbol]
        shadow.cost[symbol] = 0


def _dividend(shadow: Shadow, said: Said) -> Iterator[Heard]:
    symbol = said["symbol"]
    paid = shadow.lots[symbol] * shadow.terms.lot_e8[symbol] * _exact(said["amount"], PRICE)
    shadow.cash += paid
    shadow.realised += paid
    yield from ()


def _risk_parity(shadow: Shadow, said: Said) -> Iterator[Heard]:
    for symbol in said["weights"]:
        whole_lots(shadow, symbol, 0)
    yield from ()


_CHANGES: Mapping[str, Callable[[Shadow, Said], Iterator[Heard]]] = {
    "limit_change": _limit_change,
    "trading_state": _trading_state,
    "book_open": _book_open,
    "split": _split,
    "dividend": _dividend,
    "risk_parity": _risk_parity,
}


def refuse_untimely(shadow: Shadow, said: Said, day: int) -> None:
    """Refuse what is older than the memory of ids, and an order from too far ahead.

    What only makes the account careful is never too old, nor are executions of an open order: they
    are remembered for as long as it is open.
    """
    is_stop = said["record"] == "trading_state" and said["action"] != "resume"
    is_of_open = said["record"] == "venue_execution" and said["decision_id"] in shadow.orders
    if day <= shadow.remembered - 2 and not is_stop and not is_of_open:
        raise Refusal("RECORD_TOO_OLD")
    is_far = day > shadow.remembered + 14
    if said["record"] == "order_intent" and shadow.bar >= 0 and is_far:
        raise Refusal("RECORD_FROM_FUTURE")


def change(shadow: Shadow, said: Said, day: int) -> Iterator[Heard]:
    """Let a record that is no intent act."""
    if said["record"] == "venue_execution":
        return report(shadow, said, day)
    return _CHANGES[said["record"]](shadow, said)


def _exact(number: float | str, scale: int) -> int:
    return round(Fraction(str(number)) * scale)
