"""For what reasons the book may refuse a record of its log: a second opinion on its dead letters.

Which reasons there are is a list for each kind of record; where the record and the account tell
whether a reason applies, it is looked at. A decision that was made aside is a fact: the book may
refuse only what is none.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, NamedTuple

from tests.chaos.judge.documents import Epoch
from tests.chaos.judge.exact import E8, time_ns, whole
from tests.chaos.judge.ledger import Account
from tests.chaos.judge.record import Slice

Said = dict[str, Any]

_SHAPE = frozenset(
    {"WRONG_TYPE", "BAD_ID", "BAD_TIMESTAMP", "HEADERS_TOO_LARGE", "WRONG_KEY", "NO_EPOCH"}
)
_LATE = _SHAPE | {"RECORD_TOO_OLD"}
_ORDER = _LATE | {"UNKNOWN_SYMBOL", "BAD_QUANTITY", "RECORD_FROM_FUTURE", "TOO_MANY_RECORDS"}
_CHANGE = _LATE | {"BAD_REASON", "FORBIDDEN"}
_SYMBOL = _CHANGE | {"UNKNOWN_SYMBOL"}

REASONS: dict[str, frozenset[str]] = {
    "order_intent": _ORDER | {"BAD_PRICE"},
    "target_intent": _ORDER
    | {"OTHER_EPOCH", "BAD_FRACTION", "BAD_FEATURES", "BAD_TARGET", "BAD_CONFIDENCE"},
    "decided_intent": _SHAPE
    | {"BAD_DECISION", "UNKNOWN_SYMBOL", "BAD_QUANTITY", "DECIDED_OTHERWISE"},
    "venue_execution": _LATE
    | {
        *("UNKNOWN_SYMBOL", "BAD_QUANTITY", "BAD_PRICE", "BAD_FEE", "BAD_AMOUNT"),
        *("CURRENCY_MISMATCH", "EXECUTION_TOO_OLD", "UNKNOWN_EXECUTION"),
    },
    "limit_change": _CHANGE | {"BAD_LIMIT"},
    "trading_state": _SYMBOL | {"TOO_MANY_SWITCHES"},
    "book_open": _SYMBOL
    | {"BAD_POSITIONS", "BAD_QUANTITY", "BAD_PRICE", "BAD_AMOUNT", "ORDERS_OPEN"},
    "split": _SYMBOL | {"BAD_RATIO"},
    "dividend": _SYMBOL | {"BAD_PRICE", "BAD_AMOUNT"},
    "risk_parity": _SYMBOL | {"BAD_WEIGHT"},
}
_OF_SLICE = frozenset(
    {
        *("NOT_A_SLICE", "BAD_KEY", "UNKNOWN_PORTFOLIO", "UNKNOWN_SYMBOL", "BAD_COLUMN"),
        *("BAD_PRICE", "MISSING_COLUMN", "WRONG_COLUMN"),
    }
)

_DAYS_KEPT, _DAYS_AHEAD = 2, 14
_MOST_IDS = 200_000
_LARGEST_SIZE = 10**15 * E8


class Refusal(NamedTuple):
    """A record that was refused, as it stood before its account, and the ids that were known."""

    name: str
    said: Said
    account: Account
    known: Collection[tuple[str, str]]


def excuse(reason: str, refusal: Refusal) -> str:
    """Say why a reason is no reason to refuse a JSON record of a known book; empty if it is one."""
    kind = str(refusal.said.get("record"))
    if kind not in REASONS:
        # A kind that nobody knows is JSON of another shape.
        return "" if reason in {"WRONG_TYPE", "HEADERS_TOO_LARGE"} else "WRONG_TYPE: no such record"
    if reason not in REASONS[kind]:
        return f"one of {', '.join(sorted(REASONS[kind]))} for {kind}"
    applies = _APPLIES.get(reason)
    try:
        if applies is None or applies(refusal):
            return ""
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return "another reason: it cannot be told of such a record"
    return f"no {reason}: the record gives no such reason"


def excuse_of_slice(reason: str, slice_: Slice | None, name: str, epoch: Epoch | None) -> str:
    """Say why a reason is no reason to refuse a slice; empty if it is one."""
    if reason not in _OF_SLICE:
        return f"one of {', '.join(sorted(_OF_SLICE))} for a slice"
    if slice_ is None or epoch is None:
        return "" if reason in {"NOT_A_SLICE", "BAD_KEY"} else "NOT_A_SLICE"
    if reason == "UNKNOWN_PORTFOLIO":
        return "" if name not in epoch.portfolios else f"none: {name} is a portfolio"
    if reason == "UNKNOWN_SYMBOL" and name in epoch.portfolios:
        symbols = set(slice_.batch.column("symbol").to_pylist())
        known = symbols <= epoch.portfolios[name].universe
        return "none: all symbols are traded" if known else ""
    return "none: it is a slice" if reason == "NOT_A_SLICE" else ""


def _symbols(said: Said) -> set[str]:
    """Return the symbols that a record names."""
    if said["record"] == "risk_parity":
        return set(said["weights"])
    if said["record"] == "book_open":
        return {each["symbol"] for each in said.get("positions", [])}
    if said["record"] == "trading_state":
        return {said["name"]} if said.get("scope") == "symbol" else set()
    if said["record"] == "decided_intent":
        return {said["decision"]["symbol"]}
    return {said["symbol"]}


def _day(refusal: Refusal) -> int:
    return refusal.account.portfolio.day(time_ns(refusal.said["ts_event"]))


def _is_no_quantity(refusal: Refusal) -> bool:
    said, account = refusal.said, refusal.account
    if said["record"] in {"venue_execution", "book_open"}:
        return True  # so that a position could not be counted, too
    about = said.get("decision", said)
    with suppress(ValueError):
        size = whole(about["quantity"], E8)
        is_order = said["record"] == "order_intent"
        if (size > 0 or not is_order) and abs(size) <= _LARGEST_SIZE:
            account.lots(about["symbol"], about["quantity"])
            return False
    return True


def _is_no_price(refusal: Refusal) -> bool:
    said = refusal.said
    if said["record"] in {"venue_execution", "book_open"}:
        return True  # several prices, and some of them are not looked at
    price = said["amount" if said["record"] == "dividend" else "price"]
    return bool(not whole("0.00000001", E8) <= price * E8 <= 10**10 * E8)


def _is_no_decision(refusal: Refusal) -> bool:
    said = refusal.said
    of = (said["decision"]["portfolio"], said["decision"]["intent_id"])
    return of != (said["portfolio"], said["intent_id"])


_APPLIES: dict[str, Callable[[Refusal], bool]] = {
    "WRONG_KEY": lambda r: r.said["portfolio"] != r.name,
    "UNKNOWN_SYMBOL": lambda r: not _symbols(r.said) <= r.account.portfolio.universe,
    "BAD_QUANTITY": _is_no_quantity,
    "BAD_PRICE": _is_no_price,
    "BAD_DECISION": _is_no_decision,
    "DECIDED_OTHERWISE": lambda r: ("intent_id", r.said["intent_id"]) in r.known,
    "FORBIDDEN": lambda r: r.said["role"] != "admin",
    "CURRENCY_MISMATCH": lambda r: r.said["currency"] != r.account.portfolio.currency,
    "OTHER_EPOCH": lambda r: r.said["epoch_digest"] != r.account.portfolio.epoch.digest,
    "ORDERS_OPEN": lambda r: bool(r.account.orders),
    "RECORD_TOO_OLD": lambda r: _day(r) <= r.account.day - _DAYS_KEPT,
    "RECORD_FROM_FUTURE": lambda r: _day(r) > r.account.day + _DAYS_AHEAD,
    "TOO_MANY_RECORDS": lambda r: len(r.known) >= _MOST_IDS,
    "NO_EPOCH": lambda r: r.account.bar_ns < 0,
}
