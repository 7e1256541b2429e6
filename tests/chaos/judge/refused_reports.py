"""Why a venue's report may be refused before the book sees it: a second opinion on dead letters.

A reason that a dead letter gives must be among those found here, and a report for which there is
one must not be in the book's log. Whether a report fits the book is not asked here.
"""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from tests.chaos.judge.exact import time_ns
from tests.chaos.judge.record import Record, read_object

Said = dict[str, Any]

FIELDS = {
    "record": "venue_execution",
    "portfolio": None,
    "ts_event": None,
    "execution_id": None,
    "decision_id": None,
    "symbol": None,
    "kind": None,
    "side": None,
    "quantity": None,
    "price": 0,
    "fee": 0,
    "currency": None,
    "venue": None,
    "corrects": "",
}
"""The fields of a report, with what they are where it leaves them out; None: it must not."""

_NUMBERS = ("quantity", "price", "fee")
_IDS = ("portfolio", "execution_id", "decision_id", "symbol", "currency", "venue")
_FILLS = ("fill", "partial_fill")
_CHOICES = {
    "record": ("venue_execution",),
    "kind": (*_FILLS, "cancel", "expire", "reject", "correction"),
    "side": ("BUY", "SELL"),
}
_LARGEST_HEADERS = 16_384
_LONGEST_ID = 64
_EARLIEST_NS, _LATEST_NS = 10**16, 7_258_118_400 * 10**9
_PRICES = (Decimal("1e-8"), Decimal("1e10"))
_LARGEST_SIZE = _LARGEST_FEE = 10**15
# What cannot be read is refused where the reader stops, and a wrong type may come before that.
_UNREADABLE = frozenset({"NOT_JSON", "WRONG_TYPE"})


def report_faults(record: Record) -> set[str]:
    """Return all reasons for which a report may be refused; none if it must be in the log."""
    n_bytes = sum(len(name) + len(value) for name, value in record.headers)
    faults = {"HEADERS_TOO_LARGE"} if n_bytes > _LARGEST_HEADERS else set()
    said = read_object(record.value)
    if said is None or _has_half_a_pair(said):
        return faults | _UNREADABLE
    report = complete(said)
    if not all(_is_typed(report[name], name) for name in FIELDS):
        return faults | {"WRONG_TYPE"}
    return faults | {code for code, applies in _FAULTS.items() if applies(report)}


def complete(said: Said) -> Said:
    """Return a report's known fields with its defaults, numbers as a float can hold them.

    Others read decimals as floats, so that is what a copy can say; an integer stays as it is.
    """
    report: Said = {name: said.get(name, default) for name, default in FIELDS.items()}
    for name in _NUMBERS:
        number = report[name]
        if isinstance(number, Decimal):
            report[name] = Decimal(repr(float(number)))
    return report


def _has_half_a_pair(said: Said) -> bool:
    """Tell whether a text holds a lone half of a surrogate pair: JSON to Python only."""
    try:
        "".join(value for value in said.values() if isinstance(value, str)).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_typed(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return False
    if name in _NUMBERS:
        # What no float can hold is no number to others.
        return isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())
    if name == "ts_event":
        return isinstance(value, int | str)
    return isinstance(value, str) and value in _CHOICES.get(name, (value,))


def _is_no_id(text: str) -> bool:
    return not 0 < len(text) <= _LONGEST_ID or not text.isprintable()


def _has_bad_id(report: Said) -> bool:
    names = (*_IDS, "corrects") if report["kind"] == "correction" else _IDS
    return any(_is_no_id(report[name]) for name in names)


def _has_bad_quantity(report: Said) -> bool:
    is_nothing = report["kind"] in _FILLS and report["quantity"] == 0
    return is_nothing or not 0 <= report["quantity"] <= _LARGEST_SIZE


def _has_bad_price(report: Said) -> bool:
    is_priced = report["kind"] in {*_FILLS, "correction"}
    return is_priced and not _PRICES[0] <= report["price"] <= _PRICES[1]


def _has_no_time(report: Said) -> bool:
    with suppress(ValueError):
        return not _EARLIEST_NS < time_ns(report["ts_event"]) < _LATEST_NS
    return True


_FAULTS: dict[str, Callable[[Said], bool]] = {
    "BAD_ID": _has_bad_id,
    "BAD_TIMESTAMP": _has_no_time,
    "BAD_QUANTITY": _has_bad_quantity,
    "BAD_PRICE": _has_bad_price,
    "BAD_FEE": lambda report: not -_LARGEST_FEE <= report["fee"] <= _LARGEST_FEE,
}
