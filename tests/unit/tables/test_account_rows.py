"""Rows of accounts: exact money, one row a holding, and changes as they were asked for."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from streams.errors import RecordError
from tables.account_rows import (
    BOOK_CHANGES,
    POSITIONS,
    RISK_METRICS,
    change_rows,
    snapshot_rows,
)
from tables.archive import Rows, RunKey

OF = RunKey("paper-1f2e3d4c", "r1")
AT = datetime(2024, 1, 2, 0, 1, tzinfo=UTC)

HOLDING = {
    "symbol": "AAA",
    "quantity": 100.0,
    "open_quantity": -20.0,
    "price": "10.25",
    "notional": "1025",
    "equity_fraction": 0.1025,
    "cost": "1000.0000000000000001",
    "unrealised": "24.9999999999999999",
    "sector": "Energy",
    "parity_weight": 0.5,
}
RISK = {
    "state": "REDUCING",
    "switches": {"portfolio": "REDUCING"},
    "day_open_equity": "10100",
    "peak_equity": "10200",
    "daily_loss_fraction": 0.01,
    "drawdown_fraction": 0.02,
    "leverage": 0.1,
    "net_fraction": 0.1,
    "concentration": 0.1025,
    "sectors": {"Energy": 0.1025},
    "var_fraction": 0.003,
    "var_historical_fraction": 0.003,
    "var_normal_fraction": 0.002,
    "var_bars": 250,
    "open_orders": 1,
    "orders_today": 7,
    "limits": {},
}
SNAPSHOT = {
    "event_type": "portfolio_snapshot",
    "timestamp": "2024-01-02T00:01:00Z",
    "portfolio": "main",
    "currency": "USD",
    "cash": "8975.0000000000000001",
    "equity": "10000.0000000000000001",
    "gross": "1025",
    "realised": "0",
    "fees": "0.5",
    "holdings": [HOLDING],
    "unrealised": "24.9999999999999999",
    "risk": RISK,
}


def named(rows: Rows) -> list[dict[str, Any]]:
    """Give rows by the names of their columns."""
    return [dict(zip(rows.table.columns, values, strict=True)) for values in rows.values]


def encoded(**changes: object) -> bytes:
    """Write the snapshot, changed where asked."""
    return json.dumps({**SNAPSHOT, **changes}).encode()


def test_snapshot_rows_when_read_then_money_is_exact() -> None:
    """Sixteen decimals arrive as they were sent, and the measures stand beside them."""
    metrics, positions = snapshot_rows(OF, encoded())
    assert (metrics.table, positions.table) == (RISK_METRICS, POSITIONS)
    (account,) = named(metrics)
    assert account["equity"] == Decimal("10000.0000000000000001")
    assert (account["run"], account["bar_close"], account["state"]) == ("r1", AT, "REDUCING")
    assert {name: account[name] for name in ("var_bars", "orders_today", "fees")} == {
        "var_bars": 250,
        "orders_today": 7,
        "fees": Decimal("0.5"),
    }
    (held,) = named(positions)
    assert held["cost"] == Decimal("1000.0000000000000001")
    assert (held["symbol"], held["open_quantity"], held["sector"]) == ("AAA", -20.0, "Energy")


def test_snapshot_rows_when_nothing_is_held_then_has_metrics_only() -> None:
    """An empty book is a row of metrics and none of positions."""
    metrics, positions = snapshot_rows(OF, encoded(holdings=[]))
    assert (len(metrics.values), positions.values) == (1, [])


@pytest.mark.parametrize(
    "value", [b"{", b"[]", encoded(risk=None), encoded(cash=1), encoded(cash="abc")]
)
def test_snapshot_rows_when_it_is_none_then_is_refused(value: bytes) -> None:
    """What is no snapshot becomes a dead letter of the archive."""
    with pytest.raises(RecordError):
        snapshot_rows(OF, value)


def test_change_rows_when_a_limit_changes_then_says_who_when_and_why() -> None:
    """The audit names the actor, the reason, and the place in the log."""
    value = json.dumps(
        {
            "record": "limit_change",
            "portfolio": "main",
            "ts_event": "2024-01-02T00:01:00Z",
            "change_id": "c1",
            "actor": "alice",
            "role": "admin",
            "reason": "less risk",
            "limits": {"max_asset_fraction": 0.2},
        }
    ).encode()
    (rows,) = change_rows(OF, value, 1, 77)
    assert rows.table is BOOK_CHANGES
    (change,) = named(rows)
    document = json.loads(change.pop("document"))
    assert document["limits"] == {"max_asset_fraction": 0.2}
    assert change == {
        **OF._asdict(),
        "portfolio": "main",
        "change_id": "c1",
        "record": "limit_change",
        "changed_at": AT,
        "actor": "alice",
        "role": "admin",
        "reason": "less risk",
        "log_partition": 1,
        "log_offset": 77,
    }


def test_change_rows_when_it_is_an_order_or_a_slice_then_there_is_none() -> None:
    """Orders are decisions, slices are regimes and weights: they are kept elsewhere."""
    order = {
        "record": "order_intent",
        "portfolio": "main",
        "ts_event": "2024-01-02T00:01:00Z",
        "intent_id": "i1",
        "symbol": "AAA",
        "side": "BUY",
        "quantity": 1,
    }
    assert change_rows(OF, json.dumps(order).encode(), 0, 0) == []
    assert change_rows(OF, b"\xff\xff\xff\xff", 0, 0) == []
    assert change_rows(OF, b"{poison", 0, 0) == []
