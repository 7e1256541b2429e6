"""The wire form of decisions, executions and snapshots: every field of the contract."""

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from models.portfolio.ledger import MONEY_SCALE, Book, Fill, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.risk.decide import AccountState, Executed, Row, Verdict
from models.risk.limits import Finding
from streams.epochs import Portfolio
from streams.ids import decision_id, execution_id
from streams.records import Digests
from tables.decisions import (
    Reasons,
    Slot,
    decision_event,
    execution_event,
    money_text,
    snapshot_event,
    void_event,
)
from tests.builders import MIDNIGHT

DIGESTS = Digests(schema="s", feature_pipeline="f", models="m", limits="l", universe="u")
SLOT = Slot(
    Portfolio(id="main"), "1min", MIDNIGHT, 3, DIGESTS, dict.fromkeys(("AAA", "A", "B", "C"), 10**8)
)
REASONS = Reasons(("rsi", "atr"), [55.0, math.nan], [0.5, 0.3, 0.2, 1.4], [0.6, 0.3, 0.1])


def verdict(lots: int = 2, **changes: Any) -> Verdict:  # noqa: ANN401  any field
    """Build an approved verdict about AAA at 100."""
    fields = {
        "row": Row("AAA", 100.0, 101.0, 0.7, 0.2),
        "lots": lots,
        "approved": True,
        "allowed_lots": 5,
        "breaches": (),
        "note": "",
    }
    return Verdict(**(fields | changes))


def wire(event: object) -> dict[str, Any]:
    """Read an event as a consumer in another language would."""
    plain: dict[str, Any] = json.loads(msgspec.json.encode(event))
    return plain


def test_decision_when_approved_then_has_every_field_of_the_contract() -> None:
    """Names and values are the customer's; an indicator that warms up is left out."""
    assert wire(decision_event(SLOT, verdict(), REASONS)) == {
        "event_type": "trading_decision",
        "timestamp": "2024-01-02T00:00:00Z",
        "decision_id": decision_id("main", "1min", MIDNIGHT, "AAA"),
        "portfolio": "main",
        "symbol": "AAA",
        "timeframe": "1min",
        "action": "BUY",
        "quantity": 2,
        "price": 100.0,
        "confidence": 0.7,
        "approved": True,
        "allowed_quantity": 5,
        "rejection_reasons": [],
        "regime_probs": {"bull": 0.5, "bear": 0.3, "sideways": 0.2},
        "entropy_bits": 1.4,
        "strategy_weights": {
            "bull_specialist": 0.6,
            "bear_specialist": 0.3,
            "sideways_specialist": 0.1,
        },
        "target_fraction": 0.2,
        "features": {"rsi": 55.0},
        "risk_checks": {
            "position_limit_ok": True,
            "concentration_ok": True,
            "correlation_ok": True,
        },
        "note": "",
        "epoch": 3,
        "digests": {
            "schema": "s",
            "feature_pipeline": "f",
            "models": "m",
            "limits": "l",
            "universe": "u",
        },
    }


@pytest.mark.parametrize(("lots", "action"), [(2, "BUY"), (-2, "SELL"), (0, "HOLD")])
def test_decision_when_lots_are_signed_then_action_and_quantity_say_it(
    lots: int, action: str
) -> None:
    """The quantity is never negative; the action has the sign."""
    said = wire(decision_event(SLOT, verdict(lots), REASONS))
    assert (said["action"], said["quantity"]) == (action, abs(lots))


@pytest.mark.parametrize(
    ("code", "ok"),
    [
        ("MAX_ASSET_FRACTION", (False, False, True)),
        ("MAX_LEVERAGE", (True, False, True)),
        ("MAX_CORRELATION", (True, True, False)),
        ("CORRELATION_WARMUP", (True, True, False)),
    ],
)
def test_decision_when_a_control_refused_then_its_family_is_not_ok(
    code: str, ok: tuple[bool, bool, bool]
) -> None:
    """The reason has its limit and the value that broke it."""
    refused = verdict(approved=False, breaches=(Finding(code, "why", 0.25, 0.5, 1),))
    said = wire(decision_event(SLOT, refused, REASONS))
    assert tuple(said["risk_checks"].values()) == ok
    assert said["rejection_reasons"] == [
        {"code": code, "message": "why", "limit": 0.25, "actual": 0.5}
    ]
    assert not said["approved"]


def test_decision_when_the_value_is_infinite_then_says_null() -> None:
    """A share of no equity is no number in JSON; the code and the limit tell the rest."""
    finding = Finding("MAX_LEVERAGE", "why", 1.5, math.inf, 0)
    event = decision_event(SLOT, verdict(approved=False, breaches=(finding,)), REASONS)
    assert event.rejection_reasons[0].actual is None
    assert wire(event)["rejection_reasons"][0]["actual"] is None


def test_decision_when_features_warm_up_then_numbers_are_zero() -> None:
    """NaN never reaches the wire: target and confidence are 0 while the note says why."""
    warming = Row("AAA", 100.0, math.nan, math.nan, math.nan)
    said = wire(decision_event(SLOT, verdict(0, row=warming, note="WARMING_UP"), REASONS))
    assert (said["confidence"], said["target_fraction"], said["note"]) == (0.0, 0.0, "WARMING_UP")


def test_decision_when_a_feature_is_infinite_then_is_left_out() -> None:
    """The contract promises numbers."""
    reasons = REASONS._replace(features=[math.inf, 1.0])
    assert wire(decision_event(SLOT, verdict(), reasons))["features"] == {"atr": 1.0}


def test_void_when_a_slice_was_useless_then_refuses_with_the_same_fields() -> None:
    """A consumer sees the same shape, no order and the reason."""
    said = wire(void_event(SLOT, "AAA", "NotFinite"))
    assert set(said) == set(wire(decision_event(SLOT, verdict(), REASONS)))
    assert (said["approved"], said["action"], said["quantity"]) == (False, "HOLD", 0)
    assert said["rejection_reasons"][0]["code"] == "INPUT_VOID"
    assert "NotFinite" in said["rejection_reasons"][0]["message"]
    assert sum(said["regime_probs"].values()) == pytest.approx(1, abs=1e-9)
    assert sum(said["strategy_weights"].values()) == pytest.approx(1, abs=1e-9)
    assert said["decision_id"] == decision_id("main", "1min", MIDNIGHT, "AAA")


def test_execution_when_an_order_filled_then_names_its_decision() -> None:
    """Price and fee are the ledger's, exactly; the decision is that of the bar it was placed at."""
    order = OpenOrder("AAA", -2, MIDNIGHT - 60)
    fill = Fill("AAA", -2, 99_99000000, 12345678 * 10**8)
    of = decision_id("main", "1min", MIDNIGHT - 60, "AAA")
    assert wire(execution_event(SLOT, Executed(order, fill))) == {
        "event_type": "execution",
        "execution_id": execution_id(of, "fill", MIDNIGHT),
        "decision_id": of,
        "portfolio": "main",
        "symbol": "AAA",
        "kind": "fill",
        "side": "SELL",
        "quantity": 2,
        "price": 99.99,
        "fee": 0.12345678,
        "currency": "USD",
        "ts_event": "2024-01-02T00:00:00Z",
        "venue": "paper",
    }


def test_execution_when_an_order_expired_then_has_no_price() -> None:
    """The end of an order without a trade is an event of its own kind and id."""
    said = wire(execution_event(SLOT, Executed(OpenOrder("AAA", 3, MIDNIGHT - 60), None)))
    assert (said["kind"], said["side"], said["quantity"]) == ("expire", "BUY", 3)
    assert (said["price"], said["fee"]) == (0.0, 0.0)
    assert said["execution_id"] == execution_id(said["decision_id"], "expire", MIDNIGHT)


def account(cash: int) -> AccountState:
    """Build an account that holds, waits for and once had something."""
    book = Book(cash * MONEY_SCALE, dict.fromkeys("ABCD", 10**8))
    book.positions = {
        "D": Position(0, 0, 10**8),
        "C": Position(0, 0, 5 * 10**8),
        "A": Position(3, 0, 10_50000000),
    }
    book.realised, book.fees = -5 * MONEY_SCALE // 2, 1
    orders = [OpenOrder("C", 7, 0), OpenOrder("A", -1, 0)]
    return AccountState(book, Reservations(orders), np.zeros((4, 1)), np.zeros(4))


def test_snapshot_when_taken_then_shows_what_is_held_or_ordered() -> None:
    """Money is exact text; a flat symbol without an open order is left out."""
    said = wire(snapshot_event(SLOT, account(968)))
    assert said == {
        "event_type": "portfolio_snapshot",
        "timestamp": "2024-01-02T00:00:00Z",
        "portfolio": "main",
        "currency": "USD",
        "cash": "968",
        "equity": "999.5",
        "gross": "31.5",
        "realised": "-2.5",
        "fees": "0.0000000000000001",
        "holdings": [
            {
                "symbol": "A",
                "quantity": 3,
                "open_quantity": -1,
                "price": "10.5",
                "notional": "31.5",
                "equity_fraction": pytest.approx(31.5 / 999.5),
            },
            {
                "symbol": "C",
                "quantity": 0,
                "open_quantity": 7,
                "price": "5",
                "notional": "0",
                "equity_fraction": 0.0,
            },
        ],
    }


def test_snapshot_when_there_is_no_equity_then_shares_are_zero() -> None:
    """An account that owes has no shares, and no division by zero."""
    said = wire(snapshot_event(SLOT, account(-1_000)))
    assert said["equity"] == "-968.5"
    assert [h["equity_fraction"] for h in said["holdings"]] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (0, "0"),
        (1, "0.0000000000000001"),
        (-MONEY_SCALE, "-1"),
        (10**30 + 10**15, "100000000000000.1"),
        (-(10**15), "-0.1"),
    ],
)
def test_money_when_written_then_is_exact_decimal(money: int, text: str) -> None:
    """No digit is lost and none is added."""
    assert money_text(money) == text
