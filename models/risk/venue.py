"""Executions of an external venue: what happened is booked, whatever was expected.

A fill is a fact. One for an order that is not open, or for more than was open, is booked all the
same, because the position is there; but an account that is surprised must not take new risk, so it
goes to REDUCING. A repeated id changes nothing; a correction takes the earlier execution back and
books what is right, and an order that is still open waits for the difference.
"""

from typing import NamedTuple

from models.errors import Refused
from models.portfolio.ledger import Fill
from models.portfolio.reservation import OpenOrder
from models.risk.account import Account
from models.risk.decide import Executed, Outcome
from models.risk.memory import Taken
from models.risk.sessions import day_of
from models.risk.switches import Switch


class Report(NamedTuple):
    """An execution in the account's units: signed lots, price in 1e-8, fee in money units."""

    execution_id: str
    order_id: str
    symbol: str
    kind: str
    lots: int
    price_e8: int
    fee: int
    ts_ns: int
    corrects: str = ""


def take_report(account: Account, report: Report) -> Outcome:
    """Book what a venue reports and return what became of the order.

    Raises
    ------
    Refused
        If the record is so old that its id may have been forgotten, or corrects what is not known.
    """
    memory = account.kept.memory
    if memory.is_known(report.execution_id):
        return Outcome()
    day = day_of(account.rules.day, report.ts_ns)
    if memory.is_forgotten(day) and account.reservations.find(report.order_id) is None:
        raise Refused(
            "EXECUTION_TOO_OLD",
            "ts_event",
            report.ts_ns,
            "a time of this day or the day before; correct the book by a new book_open",
        )
    if report.kind == "correction":
        return _correct(account, report, day)
    order = account.reservations.find(report.order_id)
    alerts = [] if order is None or _fits(order, report) else [_alert("ORDER_MISMATCH", report)]
    if report.kind in {"fill", "partial_fill"}:
        return _fill(account, report, day, order if not alerts else None, alerts)
    memory.executions[report.execution_id] = Taken(day, report.order_id, report.symbol)
    if order is None or alerts:
        return Outcome(alerts=(*alerts, *([] if alerts else [_alert("UNKNOWN_ORDER", report)])))
    account.release(order)
    ended = Executed(order, None, order.lots, report.kind, report.execution_id)
    return Outcome((ended,))


def _fits(order: OpenOrder, report: Report) -> bool:
    is_same_side = report.lots == 0 or (order.lots > 0) == (report.lots > 0)
    return order.symbol == report.symbol and is_same_side


def _fill(
    account: Account,
    report: Report,
    day: int,
    order: OpenOrder | None,
    alerts: list[tuple[str, str]],
) -> Outcome:
    fill = Fill(report.symbol, report.lots, report.price_e8, report.fee)
    if order is None:
        alerts = alerts or [_alert("UNKNOWN_ORDER", report)]
        order = OpenOrder(report.symbol, report.lots, account.kept.bar_ns, 0, report.order_id)
    else:
        if abs(report.lots) > abs(order.lots):
            alerts = [*alerts, _alert("OVER_FILL", report)]
        account.reservations.fill(order, report.lots)
    # Touches the symbol, so that what was released is seen as well.
    account.trade(fill)
    account.kept.memory.executions[report.execution_id] = Taken(
        day, report.order_id, report.symbol, *fill[1:]
    )
    if alerts:
        _be_careful(account, alerts[0])
    executed = Executed(order, fill, report.lots, report.kind, report.execution_id)
    return Outcome((executed,), alerts=tuple(alerts))


def _correct(account: Account, report: Report, day: int) -> Outcome:
    memory = account.kept.memory
    wrong = memory.executions.get(report.corrects)
    if wrong is None or not wrong.lots or wrong.symbol != report.symbol:
        raise Refused(
            "UNKNOWN_EXECUTION",
            "corrects",
            report.corrects,
            "a fill of this symbol, of this day or the day before, with no split or opening since; "
            "else state the book anew",
        )
    executions = []
    undone = Fill(wrong.symbol, -wrong.lots, wrong.price_e8, -wrong.fee)
    right = Fill(report.symbol, report.lots, report.price_e8, report.fee)
    alerts = [_alert("OVER_FILL", report)] if _is_too_much(account, wrong, right.lots) else []
    _leave_open(account, wrong, right.lots)
    for fill in (undone, right):
        if fill.lots:
            account.trade(fill)
            of = OpenOrder(fill.symbol, fill.lots, account.kept.bar_ns, 0, wrong.order_id)
            said = (of, fill, fill.lots, "correction", report.execution_id)
            executions.append(Executed(*said, is_undoing=fill is undone))
    # The wrong one is kept as taken back: neither its repetition nor a second correction counts.
    memory.executions[report.corrects] = Taken(wrong.day, wrong.order_id, wrong.symbol)
    memory.executions[report.execution_id] = Taken(day, wrong.order_id, report.symbol, *right[1:])
    if alerts:
        _be_careful(account, alerts[0])
    return Outcome(tuple(executions), alerts=tuple(alerts))


def _is_too_much(account: Account, wrong: Taken, right_lots: int) -> bool:
    """Tell whether a correction is to more than had filled and was left, or to the other side."""
    order = account.reservations.find(wrong.order_id)
    left = order.lots if order is not None and order.symbol == wrong.symbol else 0
    return right_lots * wrong.lots < 0 or abs(right_lots) > abs(wrong.lots + left)


def _leave_open(account: Account, wrong: Taken, right_lots: int) -> None:
    """Let an order that is still open wait for what, as corrected, has not filled."""
    order = account.reservations.find(wrong.order_id)
    if order is None or order.symbol != wrong.symbol or order.lots * wrong.lots < 0:
        return
    filled = right_lots if right_lots * wrong.lots > 0 else 0
    account.reservations.amend(order, order.lots + wrong.lots - filled)


def _alert(code: str, report: Report) -> tuple[str, str]:
    return code, f"execution {report.execution_id} of order {report.order_id}: {report.lots} lots"


def _be_careful(account: Account, alert: tuple[str, str]) -> None:
    """Take no new risk until somebody has looked; a stricter switch stays."""
    switches = account.kept.switches
    if "portfolio" not in switches.thrown:
        reason = f"{alert[0]}: {alert[1]}"
        switches.throw("portfolio", "", Switch("REDUCING", reason, "risk", account.kept.now_ns))
