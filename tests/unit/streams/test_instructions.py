"""Records that act on a book: what is refused, by field, value and expectation."""

import json
from typing import Any

import pytest

from streams.errors import FieldError, RecordError
from streams.instructions import (
    BookOpen,
    DecidedIntent,
    Dividend,
    Instruction,
    LimitChange,
    OrderIntent,
    RiskParity,
    Split,
    TargetIntent,
    TradingState,
    VenueExecution,
    read_instruction,
    read_venue_execution,
)

NOW = "2024-01-02T00:00:00Z"
CHANGE = {
    "portfolio": "main",
    "ts_event": NOW,
    "change_id": "c1",
    "actor": "ann",
    "role": "admin",
    "reason": "test",
}
GOOD: dict[str, dict[str, Any]] = {
    "order_intent": {
        "portfolio": "main",
        "ts_event": NOW,
        "intent_id": "k1",
        "symbol": "AAA",
        "side": "BUY",
        "quantity": 5,
        "price": 10.5,
    },
    "target_intent": {
        "portfolio": "main",
        "ts_event": NOW,
        "intent_id": "k1",
        "symbol": "AAA",
        "bar_close": NOW,
        "epoch_digest": "e",
        "confidence": 0.6,
        "target_fraction": 0.1,
        "regime": [0.5, 0.25, 0.25, 1.5],
        "weights": [1, 0, 0],
        "features": [None, 0.5],
    },
    "decided_intent": {
        "portfolio": "main",
        "ts_event": NOW,
        "intent_id": "k1",
        "decision": {
            "timestamp": NOW,
            "decision_id": "d1",
            "portfolio": "main",
            "symbol": "AAA",
            "timeframe": "1min",
            "action": "BUY",
            "quantity": 5,
            "price": 10.5,
            "confidence": 0.6,
            "approved": True,
            "allowed_quantity": 5,
            "rejection_reasons": [],
            "regime_probs": {"bull": 1, "bear": 0, "sideways": 0},
            "entropy_bits": 0,
            "strategy_weights": {
                "bull_specialist": 1,
                "bear_specialist": 0,
                "sideways_specialist": 0,
            },
            "target_fraction": 0.1,
            "features": {},
            "risk_checks": {
                "position_limit_ok": True,
                "concentration_ok": True,
                "correlation_ok": True,
            },
            "note": "",
            "epoch": 1,
            "digests": {
                "schema": "",
                "feature_pipeline": "",
                "models": "",
                "limits": "",
                "universe": "",
            },
            "intent_id": "k1",
        },
    },
    "venue_execution": {
        "portfolio": "main",
        "ts_event": NOW,
        "execution_id": "e1",
        "decision_id": "d1",
        "symbol": "AAA",
        "kind": "fill",
        "side": "BUY",
        "quantity": 5,
        "price": 10.5,
        "fee": -0.1,
        "currency": "USD",
        "venue": "X",
    },
    "limit_change": CHANGE | {"limits": {"max_leverage": 1.0, "restricted": ["AAA"]}},
    "trading_state": CHANGE | {"action": "halt", "scope": "symbol", "name": "AAA"},
    "book_open": CHANGE
    | {"cash": "5.5", "positions": [{"symbol": "AAA", "quantity": -3, "price": 2}]},
    "split": CHANGE | {"symbol": "AAA", "new": 2, "old": 1},
    "dividend": CHANGE | {"symbol": "AAA", "amount": 0.5},
    "risk_parity": CHANGE | {"weights": {"AAA": 0.25, "BBB": 0.75}},
}
KINDS = {
    "order_intent": OrderIntent,
    "target_intent": TargetIntent,
    "decided_intent": DecidedIntent,
    "venue_execution": VenueExecution,
    "limit_change": LimitChange,
    "trading_state": TradingState,
    "book_open": BookOpen,
    "split": Split,
    "dividend": Dividend,
    "risk_parity": RiskParity,
}


def read(kind: str, /, **changes: Any) -> Instruction:  # noqa: ANN401  any field
    """Read a good record of a kind, changed where asked."""
    return read_instruction(json.dumps({"record": kind, **GOOD[kind], **changes}).encode())


@pytest.mark.parametrize("kind", GOOD)
def test_read_when_well_formed_then_is_of_its_kind(kind: str) -> None:
    """The tag chooses the type, time and id are there, and unknown fields are ignored."""
    said = read(kind, newer=[1])
    assert type(said) is KINDS[kind]
    assert said.ts_ns() == 1_704_153_600 * 10**9
    assert said.id.partition(":")[2] in {"k1", "e1", "c1"}


@pytest.mark.parametrize(
    ("kind", "changes", "reason", "field"),
    [
        ("order_intent", {"quantity": -5}, "BAD_QUANTITY", "quantity"),
        ("order_intent", {"quantity": 0}, "BAD_QUANTITY", "quantity"),
        ("order_intent", {"quantity": "5"}, "WRONG_TYPE", "quantity"),
        ("order_intent", {"quantity": 10**18}, "BAD_QUANTITY", "quantity"),
        ("order_intent", {"quantity": True}, "WRONG_TYPE", "quantity"),
        ("order_intent", {"price": 0}, "BAD_PRICE", "price"),
        ("order_intent", {"price": -1.5}, "BAD_PRICE", "price"),
        ("order_intent", {"price": 1e300}, "BAD_PRICE", "price"),
        ("order_intent", {"price": "10"}, "WRONG_TYPE", "price"),
        ("order_intent", {"symbol": ""}, "BAD_ID", "symbol"),
        ("order_intent", {"symbol": "A\n"}, "BAD_ID", "symbol"),
        ("order_intent", {"intent_id": "x" * 65}, "BAD_ID", "intent_id"),
        ("order_intent", {"side": "HOLD"}, "WRONG_TYPE", "side"),
        ("venue_execution", {"fee": 1e16}, "BAD_FEE", "fee"),
        ("venue_execution", {"kind": "correction"}, "BAD_ID", "corrects"),
        ("venue_execution", {"kind": "cancel", "quantity": -1}, "BAD_QUANTITY", "quantity"),
        ("limit_change", {"role": "trader"}, "FORBIDDEN", "role"),
        ("limit_change", {"limits": {}}, "BAD_LIMIT", "limits"),
        ("limit_change", {"reason": ""}, "BAD_REASON", "reason"),
        ("trading_state", {"name": ""}, "BAD_ID", "name"),
        ("trading_state", {"action": "resume", "role": "trader"}, "FORBIDDEN", "role"),
        ("trading_state", {"role": "boss"}, "WRONG_TYPE", "role"),
        ("book_open", {"cash": 5}, "WRONG_TYPE", "cash"),
        (
            "book_open",
            {"positions": [{"symbol": "A", "quantity": 1, "price": 0}]},
            "BAD_PRICE",
            "positions[0].price",
        ),
        (
            "book_open",
            {"positions": [{"symbol": "A", "quantity": 1, "price": 1}] * 10_001},
            "BAD_POSITIONS",
            "positions",
        ),
        ("split", {"new": 0}, "BAD_RATIO", "new"),
        ("split", {"old": 1.5}, "WRONG_TYPE", "old"),
        ("dividend", {"amount": 0}, "BAD_PRICE", "amount"),
        ("risk_parity", {"weights": {"AAA": 0.5}}, "BAD_WEIGHT", "weights"),
        ("risk_parity", {"weights": {"AAA": 1.5, "B": -0.5}}, "BAD_WEIGHT", "weights[AAA]"),
    ],
)
def test_read_when_a_field_is_wrong_then_names_it(
    kind: str, changes: dict[str, Any], reason: str, field: str
) -> None:
    """Code, field, value and expectation, before any book is looked at."""
    with pytest.raises(FieldError) as caught:
        read(kind, **changes)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.expected


@pytest.mark.parametrize("action", ["halt", "reduce"])
@pytest.mark.parametrize("role", ["trader", "researcher", "admin"])
def test_switch_when_it_makes_more_careful_then_any_role_may_throw_it(
    action: str, role: str
) -> None:
    """Nobody has to look for an administrator to stop."""
    assert isinstance(read("trading_state", action=action, role=role), TradingState)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "NOT_JSON"),
        (b'{"record":"gift"}', "WRONG_TYPE"),
        (b"{}", "WRONG_TYPE"),
        (json.dumps({"record": "split", **GOOD["split"], "ts_event": 5}).encode(), "BAD_TIMESTAMP"),
    ],
)
def test_read_when_it_is_no_record_then_says_so(raw: bytes, reason: str) -> None:
    """Neither a field nor a time is guessed."""
    with pytest.raises(RecordError) as caught:
        read_instruction(raw)
    assert caught.value.reason == reason


def test_venue_when_the_record_has_no_tag_then_is_read_all_the_same() -> None:
    """Venues' adapters write the contract, which knows no tag; another kind is refused."""
    said = read_venue_execution(json.dumps(GOOD["venue_execution"]).encode())
    assert (said.execution_id, said.corrects) == ("e1", "")
    with pytest.raises(RecordError):
        read_venue_execution(json.dumps({"record": "split", **GOOD["split"]}).encode())
