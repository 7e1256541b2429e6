"""Targets asked for between two bars: sized and checked where they stand in the book's log."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.features.catalogue import NAMES
from models.risk.sessions import DAY_NS
from streams.epochs import Portfolio
from streams.ids import intent_decision_id
from streams.transport import Record
from tests.builders import FREE, MIDNIGHT, letters
from tests.unit.agents.test_risk import all_at, read
from tests.unit.agents.test_risk_records import ONE, TWO, Book

REGIME, WEIGHTS = [0.5, 0.3, 0.2, 1.25], [0.2, 0.3, 0.5]


class Asked(Book):
    """A book that is asked for targets."""

    def target(self, number: int, symbol: str = ONE, **changes: Any) -> Record:  # noqa: ANN401  any field
        """Build a target of a twentieth of equity."""
        fields = {
            "intent_id": f"k{number}",
            "symbol": symbol,
            "bar_close": MIDNIGHT,
            "epoch_digest": self.digest,
            "confidence": 0.6,
            "target_fraction": 0.05,
            "regime": REGIME,
            "weights": WEIGHTS,
            "features": [None, *range(1, len(NAMES))],
        }
        return self.say("target_intent", **(fields | changes))


@pytest.fixture
def book(tmp_path: Path) -> Asked:
    """Give a paper book of a million that has seen three bars at a price of 100."""
    warm = Asked(tmp_path)
    warm.warm()
    return warm


def test_target_when_asked_then_is_sized_checked_and_reserved(book: Asked) -> None:
    """A twentieth of 1,000,000 at 100 is 500 lots; asked again there is nothing left to want."""
    first, again = read(book.give(book.target(1), book.target(2)))
    assert (first["action"], first["quantity"], first["approved"]) == ("BUY", 500, True)
    assert (again["action"], again["quantity"], again["approved"]) == ("HOLD", 0, True)
    assert first["decision_id"] == intent_decision_id("main", "k1", MIDNIGHT // DAY_NS - 1)
    executions = read(book.take(1, all_at(100.0, target=math.nan)), "executions")
    assert executions == []  # a price of before it was sent is none
    executions = read(book.take(2, all_at(100.0, target=math.nan)), "executions")
    assert [(e["decision_id"], e["quantity"]) for e in executions] == [(first["decision_id"], 500)]


def test_target_when_decided_then_shows_what_its_bar_said(book: Asked) -> None:
    """The fields are those of a slot's decision, from the record; what warms up is left out."""
    (said,) = read(book.give(book.target(1)))
    assert set(said) == set(read(book.take(1, all_at(100.0)))[0])
    assert list(said["regime_probs"].values()) == REGIME[:3]
    assert said["entropy_bits"] == 1.25
    assert list(said["strategy_weights"].values()) == WEIGHTS
    assert said["features"] == {name: float(at) for at, name in enumerate(NAMES) if at}
    assert (said["confidence"], said["target_fraction"], said["price"]) == (0.6, 0.05, 100.0)
    assert said["intent_id"] == "k1"


def test_target_when_it_warms_up_then_holds(book: Asked) -> None:
    """Without a target there is a decision, and it is to wait."""
    (said,) = read(book.give(book.target(1, confidence=None, target_fraction=None)))
    assert (said["action"], said["approved"], said["note"]) == ("HOLD", True, "WARMING_UP")
    assert (said["confidence"], said["target_fraction"]) == (0.0, 0.0)


def test_target_when_unchecked_then_is_refused_and_reserves_nothing(book: Asked) -> None:
    """It says what would be asked for, can never be executed, and the next one wants the same."""
    unchecked, checked = read(book.give(book.target(1, is_checked=False), book.target(2)))
    assert (unchecked["action"], unchecked["quantity"]) == ("BUY", 500)
    assert (unchecked["approved"], unchecked["allowed_quantity"]) == (False, 0)
    assert [r["code"] for r in unchecked["rejection_reasons"]] == ["NOT_CHECKED"]
    assert set(unchecked["risk_checks"].values()) == {False}
    assert (checked["quantity"], checked["approved"]) == (500, True)


def test_target_when_a_limit_binds_then_is_refused_with_it(tmp_path: Path) -> None:
    """A twentieth of equity where a hundredth is the most: 500 lots asked, 100 allowed."""
    limits = msgspec.structs.replace(FREE, max_asset_fraction=0.01)
    book = Asked(tmp_path, portfolios=(Portfolio(id="main", limits=limits),))
    book.warm()
    (said,) = read(book.give(book.target(1)))
    assert (said["approved"], said["quantity"], said["allowed_quantity"]) == (False, 500, 100)
    assert [r["code"] for r in said["rejection_reasons"]] == ["MAX_ASSET_FRACTION"]


def test_target_when_a_strategy_is_stopped_then_only_that_one(book: Asked) -> None:
    """A request for one specialist is that specialist's order, and can be stopped by its name."""
    stop = book.switch(1, "halt", scope="strategy", name="bear_specialist")
    bear = book.target(1, strategy="bear_specialist")
    model = book.target(2, TWO)
    refused, approved = read(book.give(stop, bear, model))
    assert [r["code"] for r in refused["rejection_reasons"]] == ["HALTED"]
    assert approved["approved"]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"epoch_digest": "other"}, "OTHER_EPOCH", "epoch_digest"),
        ({"features": [1.0]}, "BAD_FEATURES", "features"),
        ({"features": [0.0] * 1_001}, "BAD_FEATURES", "features"),
        ({"symbol": "ZZZ"}, "UNKNOWN_SYMBOL", "symbol"),
        ({"target_fraction": None}, "BAD_TARGET", "target_fraction"),
        ({"target_fraction": 1.5}, "BAD_TARGET", "target_fraction"),
        ({"confidence": 0.4}, "BAD_CONFIDENCE", "confidence"),
        ({"regime": [1.5, 0, 0, 0]}, "BAD_FRACTION", "regime[0]"),
        ({"weights": [0, 0, -1]}, "BAD_FRACTION", "weights[2]"),
        ({"weights": [0, 1]}, "WRONG_TYPE", "weights"),
        ({"strategy": "mine"}, "WRONG_TYPE", "strategy"),
        ({"bar_close": "yesterday"}, "BAD_TIMESTAMP", ""),
    ],
)
def test_target_when_malformed_then_is_a_letter_with_its_field(
    book: Asked, changes: dict[str, Any], reason: str, field: str
) -> None:
    """Nothing is decided, and the next one is."""
    sent = book.give(book.target(1, **changes), book.target(2))
    (letter,) = letters(sent)
    assert (letter.reason, letter.field or "") == (reason, field)
    assert [d["intent_id"] for d in read(sent)] == ["k2"]


def test_target_when_repeated_under_other_models_then_says_nothing(book: Asked) -> None:
    """A key that was taken is taken: what comes again is no error, whatever it names."""
    assert len(book.give(book.target(1), book.target(1, epoch_digest="other"))) == 1
