"""The wire form of decisions, executions and snapshots: every field of the contract."""

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from models.features.catalogue import NAMES
from models.portfolio.ledger import MONEY_SCALE, Book, Fill, Position
from models.portfolio.reservation import OpenOrder, Reservations
from models.portfolio.witness import Witness
from models.risk.account import Account, Day, Kept
from models.risk.decide import Executed, Row, Verdict
from models.risk.limits import Finding
from models.risk.switches import MOST_NAMED, Switch
from streams.epochs import Portfolio
from streams.ids import decision_id, execution_id
from streams.instructions import OrderIntent
from streams.records import Digests
from tables.decisions import (
    Reasons,
    Slot,
    decision_event,
    execution_event,
    intent_event,
    money_text,
    snapshot_event,
    void_event,
)
from tables.instructions import Judged
from tests.builders import MIDNIGHT
from tests.oracles import FREE, rules_of

DIGESTS = Digests(schema="s", feature_pipeline="f", models="m", limits="l", universe="u")
SLOT = Slot(
    Portfolio(id="main"), "1min", MIDNIGHT, 3, DIGESTS, dict.fromkeys(("AAA", "A", "B", "C"), 10**8)
)
REASONS = Reasons([55.0, *[math.nan] * (len(NAMES) - 1)], [0.5, 0.3, 0.2, 1.4], [0.6, 0.3, 0.1])


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
        "features": {NAMES[0]: 55.0},
        "risk_checks": {
            "position_limit_ok": True,
            "concentration_ok": True,
            "correlation_ok": True,
        },
        "note": "",
        "intent_id": "",
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
    reasons = REASONS._replace(features=[math.inf, 1.0, *[-math.inf] * (len(NAMES) - 2)])
    assert wire(decision_event(SLOT, verdict(), reasons))["features"] == {NAMES[1]: 1.0}


def test_decision_when_all_features_are_known_then_each_is_named_in_their_order() -> None:
    """As a dict would be written, so a consumer cannot tell how it was made."""
    features = [number / 7.0 - 4.0 for number in range(len(NAMES))]
    said = msgspec.json.encode(decision_event(SLOT, verdict(), REASONS._replace(features=features)))
    plain = msgspec.json.encode(dict(zip(NAMES, features, strict=True)))
    assert b'"features":' + plain + b"," in said


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
    of = decision_id("main", "1min", MIDNIGHT - 60, "AAA")
    order = OpenOrder("AAA", -2, MIDNIGHT - 60, order_id=of)
    fill = Fill("AAA", -2, 99_99000000, 12345678 * 10**8)
    assert wire(execution_event(SLOT, Executed(order, fill, -2))) == {
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
        "venue_kind": "",
        "venue_execution_id": "",
    }


def test_execution_when_an_order_expired_then_has_no_price() -> None:
    """The end of an order without a trade is an event of its own kind and id."""
    said = wire(
        execution_event(SLOT, Executed(OpenOrder("AAA", 3, MIDNIGHT - 60, order_id="d"), None, 3))
    )
    assert (said["kind"], said["side"], said["quantity"]) == ("expire", "BUY", 3)
    assert (said["price"], said["fee"]) == (0.0, 0.0)
    assert said["execution_id"] == execution_id(said["decision_id"], "expire", MIDNIGHT)


def account(cash: int) -> Account:
    """Build an account that holds, waits for and once had something; two bars were seen."""
    book = Book(cash * MONEY_SCALE, dict.fromkeys("ABCD", 10**8))
    book.positions = {
        "D": Position(0, 0, 10**8),
        "C": Position(0, 0, 5 * 10**8),
        "A": Position(3, 30 * MONEY_SCALE, 10_50000000),
    }
    book.realised, book.fees = -5 * MONEY_SCALE // 2, 1
    orders = [OpenOrder("C", 7, 0), OpenOrder("A", -1, 0)]
    window = np.array([[0.0, -0.1], [0.0, 0.0], [0.0, 0.0], [np.nan, 0.0]])
    opened = 2_000 * MONEY_SCALE
    kept = Kept(
        book, Witness(0), Reservations(orders), window, np.ones(4), Day(1, opened, 2 * opened)
    )
    kept.switches.throw("symbol", "A", Switch("REDUCING", "why", "ann", 1))
    limits = FREE._replace(correlation_bars=2, var_bars=2)
    rules = rules_of("ABCD", limits)._replace(sectors={"A": "x"}, parity={"A": 1.0})
    return Account(kept, rules)


def test_snapshot_when_taken_then_shows_what_is_held_or_ordered() -> None:
    """Money is exact text; a flat symbol without an open order is left out."""
    said = wire(snapshot_event(SLOT, account(968)))
    risk = said.pop("risk")
    assert said == {
        "event_type": "portfolio_snapshot",
        "timestamp": "2024-01-02T00:00:00Z",
        "portfolio": "main",
        "currency": "USD",
        "cash": "968",
        "equity": "999.5",
        "gross": "31.5",
        "realised": "-2.5",
        "unrealised": "1.5",
        "venue": "paper",
        "fees": "0.0000000000000001",
        "holdings": [
            {
                "symbol": "A",
                "quantity": 3,
                "open_quantity": -1,
                "price": "10.5",
                "notional": "31.5",
                "equity_fraction": pytest.approx(31.5 / 999.5),
                "cost": "30",
                "unrealised": "1.5",
                "sector": "x",
                "parity_weight": 1.0,
            },
            {
                "symbol": "C",
                "quantity": 0,
                "open_quantity": 7,
                "price": "5",
                "notional": "0",
                "equity_fraction": 0.0,
                "cost": "0",
                "unrealised": "0",
                "sector": "Unclassified",
                "parity_weight": 0.0,
            },
        ],
    }
    assert risk["limits"]["max_leverage"] == FREE.max_leverage
    assert {name: risk[name] for name in risk if name != "limits"} == {
        "state": "ACTIVE",
        "switches": {"symbol:A": "REDUCING by ann: why"},
        "day_open_equity": "2000",
        "peak_equity": "4000",
        "daily_loss_fraction": pytest.approx(1000.5 / 2000),
        "drawdown_fraction": pytest.approx(3000.5 / 4000),
        # 31.5 held of A and 35 on order of C.
        "leverage": pytest.approx(66.5 / 999.5),
        "net_fraction": pytest.approx(66.5 / 999.5),
        "concentration": pytest.approx(35 / 999.5),
        "sectors": {
            "Unclassified": pytest.approx(35 / 999.5),
            "x": pytest.approx(31.5 / 999.5),
        },
        # The larger of both.
        "var_fraction": pytest.approx(
            1.6448536269514722 * 3.15 * (1 / 1.94) ** 0.5 * 1440**0.5 / 999.5
        ),
        "var_historical_fraction": pytest.approx(3.15 * 1440**0.5 / 999.5),
        "var_normal_fraction": pytest.approx(
            1.6448536269514722 * 3.15 * (1 / 1.94) ** 0.5 * 1440**0.5 / 999.5
        ),
        "var_bars": 2,
        "open_orders": 2,
        "orders_today": 0,
    }


def test_snapshot_when_there_is_no_equity_then_shares_are_zero() -> None:
    """An account that owes has no shares, and no division by zero."""
    said = wire(snapshot_event(SLOT, account(-1_000)))
    assert said["equity"] == "-968.5"
    assert [h["equity_fraction"] for h in said["holdings"]] == [0.0, 0.0]
    assert (said["risk"]["leverage"], said["risk"]["var_fraction"]) == (0.0, 0.0)


INTENT = OrderIntent(
    portfolio="main", ts_event=MIDNIGHT, intent_id="k1", symbol="AAA", side="SELL", quantity=2
)


def test_snapshot_when_as_much_as_can_be_is_stopped_then_the_broker_takes_it() -> None:
    """Any role may stop things: a record too large to send would end the worker for ever."""
    stopped = account(968)
    for n in range(MOST_NAMED):
        # One character of text that JSON writes as six.
        switch = Switch("HALTED", "\x01" * 500, "é" * 64, 7)
        stopped.kept.switches.throw("strategy", f"{n:03}" + "é" * 61, switch)
    restricted = tuple(f"{n:04}" + "é" * 60 for n in range(1_000))
    stopped.kept.changed["restricted"] = restricted
    stopped.adopt(stopped.rules)
    assert len(msgspec.json.encode(snapshot_event(SLOT, stopped))) < 1 << 20


def test_intent_when_decided_then_has_the_shape_of_a_decision() -> None:
    """The same fields as a slot's, its own id, and nothing that no bar said."""
    refused = verdict(-2, approved=False, breaches=(Finding("SHORT_SALE", "why", 0, 2, 0),))
    said = wire(intent_event(SLOT, Judged(INTENT, refused, "an id")))
    assert set(said) == set(wire(decision_event(SLOT, verdict(), REASONS)))
    assert said["decision_id"] == "an id"
    assert (said["intent_id"], said["action"], said["quantity"]) == ("k1", "SELL", 2)
    assert (said["approved"], said["features"], said["target_fraction"]) == (False, {}, 0.0)
    assert said["risk_checks"]["position_limit_ok"] is False
    assert sum(said["regime_probs"].values()) == pytest.approx(1, abs=1e-9)


def test_decision_when_reduced_then_is_warm_and_names_what_reduced_it() -> None:
    """REDUCED_TO_LIMIT is approved, with the lots there was room for, and keeps its reasons."""
    finding = Finding("MAX_ASSET_FRACTION", "why", 0.25, 0.5, 1)
    said = wire(
        decision_event(SLOT, verdict(1, breaches=(finding,), note="REDUCED_TO_LIMIT"), REASONS)
    )
    assert (said["approved"], said["quantity"], said["note"]) == (True, 1, "REDUCED_TO_LIMIT")
    assert said["confidence"] == 0.7
    assert [r["code"] for r in said["rejection_reasons"]] == ["MAX_ASSET_FRACTION"]


def test_execution_when_a_venue_reports_then_keeps_its_word_and_id() -> None:
    """A partial fill is a fill of its part; a correction's two equal parts have two ids."""
    order = OpenOrder("AAA", 5, 0, order_id="d")
    part = Executed(order, Fill("AAA", 2, 10**10, 0), 2, "partial_fill", "execution:v1")
    said = wire(execution_event(SLOT, part))
    assert (said["kind"], said["quantity"], said["decision_id"]) == ("fill", 2, "d")
    assert (said["venue_kind"], said["venue_execution_id"]) == ("partial_fill", "v1")
    correction = part._replace(venue_kind="correction", venue_id="execution:v2")
    both = {
        execution_event(SLOT, correction._replace(is_undoing=undoing)).execution_id
        for undoing in (True, False)
    }
    assert len(both) == 2


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
