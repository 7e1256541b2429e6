"""Rows of accounts: metrics and positions after every bar, and the changes that people made."""

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from streams.errors import RecordError
from streams.instructions import (
    BookOpen,
    Dividend,
    LimitChange,
    RiskParity,
    Split,
    TradingState,
    read_instruction,
)
from streams.records import AccountRisk, Holding, PortfolioSnapshot, read_json
from streams.timestamps import parse_ns
from tables.archive import RUN, Rows, RunKey, TableSpec, time_of

_MONEY = ("equity", "cash", "gross", "realised", "unrealised", "fees")
_MONEY_OF_RISK = ("day_open_equity", "peak_equity")
_MEASURES = (
    "daily_loss_fraction",
    "drawdown_fraction",
    "leverage",
    "net_fraction",
    "concentration",
    "var_fraction",
    "var_historical_fraction",
    "var_normal_fraction",
    "var_bars",
    "open_orders",
    "orders_today",
)
_MONEY_OF_HOLDING = ("price", "notional", "cost", "unrealised")

RISK_METRICS = TableSpec(
    "risk_metrics",
    (*RUN, "portfolio", "bar_close"),
    (
        *("currency", "state"),
        *_MONEY,
        *_MONEY_OF_RISK,
        *_MEASURES,
    ),
)
POSITIONS = TableSpec(
    "positions",
    (*RUN, "portfolio", "symbol", "bar_close"),
    (
        *("sector", "quantity", "open_quantity"),
        *_MONEY_OF_HOLDING,
        *("equity_fraction", "parity_weight"),
    ),
)
BOOK_CHANGES = TableSpec(
    "book_changes",
    (*RUN, "portfolio", "change_id"),
    (
        *("record", "changed_at", "actor", "role", "reason"),
        *("log_partition", "log_offset", "document"),
    ),
    by_time=False,
    # Who sends a change again under its id puts it at another place.
    may_differ=("log_partition", "log_offset"),
)
TABLES = (RISK_METRICS, POSITIONS, BOOK_CHANGES)

_SNAPSHOT = msgspec.json.Decoder(PortfolioSnapshot)
_CHANGES = (LimitChange, TradingState, BookOpen, Split, Dividend, RiskParity)


def snapshot_rows(of: RunKey, value: bytes) -> list[Rows]:
    """Return an account after a bar: one row of metrics, one for each holding.

    Raises
    ------
    RecordError
        If the bytes are no snapshot, or one without what the controls saw.
    """
    said = read_json(_SNAPSHOT, value)
    risk = said.risk
    if risk is None:
        raise RecordError("MISSING_FIELD", "risk is missing; expected what the controls saw")
    try:
        return _account(of, said, risk)
    except InvalidOperation as error:
        raise RecordError("BAD_AMOUNT", "money was no decimal number") from error


def _account(of: RunKey, said: PortfolioSnapshot, risk: AccountRisk) -> list[Rows]:
    at = time_of(parse_ns(said.timestamp))
    metrics = (
        *(*of, said.portfolio, at, said.currency, risk.state),
        *(Decimal(getattr(said, name)) for name in _MONEY),
        *(Decimal(getattr(risk, name)) for name in _MONEY_OF_RISK),
        *(getattr(risk, name) for name in _MEASURES),
    )
    positions = [(*of, said.portfolio, each.symbol, at, *_holding(each)) for each in said.holdings]
    return [Rows(RISK_METRICS, [metrics]), Rows(POSITIONS, positions)]


def _holding(held: Holding) -> tuple[Any, ...]:
    return (
        *(held.sector, float(held.quantity), float(held.open_quantity)),
        *(Decimal(getattr(held, name)) for name in _MONEY_OF_HOLDING),
        *(float(held.equity_fraction), float(held.parity_weight)),
    )


def change_rows(of: RunKey, value: bytes, partition: int, offset: int) -> list[Rows]:
    """Return what a person changed about a book; slices, orders and executions give no row.

    Nor does what no book can read: the risk stage makes a dead letter of it, once is enough.
    """
    if not value.startswith(b"{"):
        return []
    try:
        said = read_instruction(value)
    except RecordError:
        return []
    if not isinstance(said, _CHANGES):
        return []
    row = (
        *(*of, said.portfolio, said.change_id, str(type(said).__struct_config__.tag)),
        *(time_of(said.ts_ns()), said.actor, said.role, said.reason),
        *(partition, offset, msgspec.json.encode(said).decode()),
    )
    return [Rows(BOOK_CHANGES, [row])]
