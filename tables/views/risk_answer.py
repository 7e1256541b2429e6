"""The answer to a question about an order: what the book would say, without asking it to act.

The same functions answer the terminal and, later, HTTP. Nothing is reserved, so an order that would
pass now may be refused when it is sent.
"""

import math

from models.risk.account import Account
from models.risk.controls import Asked, check
from streams.instructions import OrderIntent
from streams.questions import AsOf, RiskAnswer
from streams.records import Rejection
from streams.timestamps import format_ns
from tables.decisions import Slot
from tables.instructions import order_of


def answer(account: Account, slot: Slot, asked: OrderIntent, as_of: AsOf) -> RiskAnswer:
    """Check an order against an account and say so.

    Raises
    ------
    FieldError
        If the order is none that the account could take: field, value and what was expected.
    """
    asked.check()
    order = order_of(account, asked)
    asked_of: list[Asked] = []
    breaches, allowed = check(account, order, asked_of)
    held = account.book.position(order.symbol).lots
    return RiskAnswer(
        portfolio=asked.portfolio,
        symbol=asked.symbol,
        approved=not breaches,
        rejection_reasons=[
            Rejection(b.code, b.message, float(b.limit), _finite(b.actual)) for b in breaches
        ],
        allowed_quantity=slot.quantity(order.symbol, allowed),
        position_after_trade=slot.quantity(order.symbol, held + order.lots),
        limit_utilization=_utilization(asked_of),
        state=account.kept.switches.state(),
        as_of=as_of,
    )


def as_of(account: Account, partition: int, next_offset: int) -> AsOf:
    """Say from where an answer comes."""
    kept = account.kept
    return AsOf(
        partition=partition,
        next_offset=next_offset,
        time=format_ns(max(kept.now_ns, 0)),
        last_bar=format_ns(max(kept.bar_ns, 0)),
    )


def _utilization(asked: list[Asked]) -> dict[str, float]:
    """Return value over limit by the key of each limit that an order moves towards."""
    found = {}
    for control, finding in asked:
        if finding.code in {"NO_PRICE", "STALE_PRICE"}:
            continue
        if control.limits and finding.limit > 0 and math.isfinite(finding.actual):
            found[control.limits[0]] = finding.actual / finding.limit
    # A least distance in time, not a most: it is kept or it is not.
    found.pop("duplicate_window_ms", None)
    return found


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
