"""One bar through the account: fills, marks, expiries, then a verdict for every row.

The order is fixed, so the outcome depends on the log alone: fills at this bar's fill prices, new
marks and returns, expiries, then decisions, reducing orders first, then by falling confidence,
ties by symbol.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.execution.fills import paper_fill
from models.portfolio.ledger import Fill
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.controls import check
from models.risk.feed import NOTHING_FED, Fed
from models.risk.limits import Finding, Order
from models.risk.sizing import budget_share, lots_wanted

# Orders that follow from a bar's targets belong to this strategy; a switch can stop it by name.
MODEL_STRATEGY = "model"


class Row(NamedTuple):
    """One symbol's bar as risk sees it; ``fill_price``, ``confidence`` and target may be NaN."""

    symbol: str
    close: float
    fill_price: float
    confidence: float
    target_fraction: float


class Verdict(NamedTuple):
    """What is decided about one row or intent: signed lots, whether they may be, and why not.

    ``note`` is WARMING_UP, REDUCED_TO_LIMIT, NOT_CHECKED or empty. A reduced order is approved with
    the lots that there is room for, and still names what it was reduced by.
    """

    row: Row
    lots: int
    approved: bool
    allowed_lots: int
    breaches: tuple[Finding, ...]
    note: str


class Executed(NamedTuple):
    """What happened to an order: its fill, or None where it ended without one.

    ``lots`` are what filled or ended, signed as the order; ``venue_kind`` and ``venue_id`` are what
    a venue called it, empty on paper. ``is_undoing`` marks the part of a correction that takes the
    wrong execution back.
    """

    order: OpenOrder
    fill: Fill | None
    lots: int
    venue_kind: str = ""
    venue_id: str = ""
    is_undoing: bool = False


class Outcome(NamedTuple):
    """What one bar or record causes, in order; ``alerts`` are codes with what they are about."""

    executions: tuple[Executed, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    alerts: tuple[tuple[str, str], ...] = ()


Naming = Callable[[str], str]


def decide(
    account: Account,
    close_ns: int,
    rows: Sequence[Row],
    order_id_of: Naming | None = None,
    fed: Fed = NOTHING_FED,
) -> Outcome:
    """Fold one bar of all partitions; ``rows`` are in symbol order, one per symbol at most.

    A boundary at which nothing traded is no bar of the account: time passes, but no order ages over
    a weekend.

    Parameters
    ----------
    account
        Changed in place.
    close_ns
        The bar's close.
    rows
        The bar.
    order_id_of
        The decision's id by symbol, under which its order is open; None names it by symbol and bar.
    fed
        How many ticks came for the bar, and how many of them were bad.
    """
    account.advance(close_ns)
    rubbish = account.feed(close_ns, fed)
    alerts = [("BAD_INPUT", rubbish)] if rubbish else []
    if not rows:
        return Outcome(alerts=tuple(alerts))
    executions = []
    if not account.rules.is_external:
        executions = _settle(account, {row.symbol: row.fill_price for row in rows})
    account.mark(close_ns, {row.symbol: row.close for row in rows})
    alerts.extend(("BOOK_MISMATCH", difference) for difference in account.verify())
    share = budget_share(account, ((row.symbol, row.target_fraction) for row in rows))
    wanted = [(row, lots_wanted(account, row.symbol, share * row.target_fraction)) for row in rows]
    verdicts = []
    for row, lots in sorted(wanted, key=_priority):
        if not math.isfinite(row.target_fraction):
            verdicts.append(Verdict(row, 0, True, 0, (), "WARMING_UP"))  # noqa: FBT003  a record's field
            continue
        if lots == 0:
            verdicts.append(_hold(row))
            continue
        order_id = f"{row.symbol}@{close_ns}" if order_id_of is None else order_id_of(row.symbol)
        order = Order(row.symbol, lots, 0, MODEL_STRATEGY)
        verdicts.append(judge(account, row, order, close_ns, order_id))
    return Outcome(tuple(executions), tuple(verdicts), tuple(alerts))


def judge(
    account: Account,
    row: Row,
    order: Order,
    placed_ns: int,
    order_id: str,
) -> Verdict:
    """Check an order and reserve it if it passes; an order of no lots is HOLD.

    Where the portfolio says so, an order that is too large becomes the largest one that passes.
    ``placed_ns`` is the close that an order came with, or the time at which it was sent behind it.
    """
    if order.lots == 0:
        return _hold(row)
    breaches, allowed = check(account, order)
    lots, note = order.lots, ""
    approved = not breaches
    if breaches and allowed and account.rules.reduces_on_breach:
        lots = allowed if order.lots > 0 else -allowed
        approved, note = True, "REDUCED_TO_LIMIT"
    if approved:
        opened = OpenOrder(
            order.symbol, lots, placed_ns, 0, order_id, order.strategy, order.price_e8
        )
        account.reserve(opened)
    return Verdict(row, lots, approved, allowed, tuple(breaches), note)


def _hold(row: Row) -> Verdict:
    return Verdict(row, 0, True, 0, (), "")  # noqa: FBT003  a record's field


def judge_target(
    account: Account, row: Row, strategy: str, placed_ns: int, order_id: str
) -> Verdict:
    """Size and check one symbol's target behind its bar, as the bar would have done it alone."""
    if not math.isfinite(row.target_fraction):
        return Verdict(row, 0, True, 0, (), "WARMING_UP")  # noqa: FBT003  a record's field
    order = Order(row.symbol, _wanted_alone(account, row), 0, strategy)
    return judge(account, row, order, placed_ns, order_id)


def unchecked(account: Account, row: Row) -> Verdict:
    """Size one target and ask no control: what comes of it is refused and changes nothing."""
    return Verdict(row, _wanted_alone(account, row), False, 0, (), "NOT_CHECKED")  # noqa: FBT003  a record's field


def _wanted_alone(account: Account, row: Row) -> int:
    share = budget_share(account, [(row.symbol, row.target_fraction)])
    return lots_wanted(account, row.symbol, share * row.target_fraction)


def _settle(account: Account, fill_prices: dict[str, float]) -> list[Executed]:
    executions = []
    rules = account.rules
    for order in account.reservations.orders:
        if order.placed_ns > account.kept.bar_ns:  # this bar's price may be older than the order
            continue
        order.bars_waited += 1
        fill = paper_fill(
            account.book,
            order,
            fill_prices.get(order.symbol, math.nan),
            slippage_bps=rules.slippage_bps,
            fee_bps=rules.fee_bps,
        )
        if fill is None and order.bars_waited < rules.order_expiry_bars:
            continue
        if fill is None:
            account.release(order)
        else:
            # Only a row has a fill price, and each row's symbol is marked next.
            account.settle(order, fill)
        executions.append(Executed(order, fill, order.lots))
    return executions


def _priority(wanted: tuple[Row, int]) -> tuple[int, float, str]:
    row, lots = wanted
    confidence = row.confidence if math.isfinite(row.confidence) else 0.0
    return (0 if lots < 0 else 1, -confidence, row.symbol)
