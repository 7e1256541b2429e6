"""What was decided while the log was away: the book takes it over as it was answered."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from agents import risk
from streams import metrics
from streams.transport import Record
from tests.builders import letters
from tests.unit.agents.test_risk import all_at, read
from tests.unit.agents.test_risk_records import ONE
from tests.unit.agents.test_risk_targets import Asked
from tests.unit.tables.views.played import decision, refused


class Told(Asked):
    """A book that is told of decisions."""

    def decided(self, decision: dict[str, Any], **changes: Any) -> Record:  # noqa: ANN401  any field
        """Build the record of a decision that was made aside."""
        fields = {"intent_id": decision["intent_id"], "decision": decision}
        return self.say("decided_intent", **(fields | changes))


@pytest.fixture
def book(tmp_path: Path) -> Told:
    """Give a paper book of a million that has seen three bars at a price of 100."""
    warm = Told(tmp_path / "book")
    warm.warm()
    return warm


@pytest.fixture
def aside(tmp_path: Path) -> list[dict[str, Any]]:
    """Give what an equal book decided aside: 500 lots of a symbol, and nothing more of it."""
    other = Told(tmp_path / "aside")
    other.warm()
    return read(other.give(other.target(1), other.target(2)))


def test_decided_when_it_comes_then_is_said_as_it_was_answered(
    book: Told, aside: list[dict[str, Any]]
) -> None:
    """Equal bytes, and its order is open: it fills behind the next close."""
    first, second = aside
    sent = book.give(book.decided(first), book.decided(second))
    assert json.dumps(read(sent)) == json.dumps(aside)  # 500 is 500.0, and no equal bytes
    assert [d["quantity"] for d in read(sent)] == [500, 0]
    book.take(1, all_at(100.0, target=math.nan))
    executions = read(book.take(2, all_at(100.0, target=math.nan)), "executions")
    assert [(e["decision_id"], e["quantity"]) for e in executions] == [(first["decision_id"], 500)]


def test_decided_when_a_limit_would_refuse_it_now_then_is_a_fact_all_the_same(
    book: Told, aside: list[dict[str, Any]]
) -> None:
    """It was answered; the halt that stands in the log before it came later."""
    (decision, _) = aside
    sent = book.give(book.switch(1, "halt"), book.decided(decision))
    assert read(sent) == [decision]
    opened = [o.lots for o in book.run.fold.look("main").account.reservations.orders]  # type: ignore[attr-defined]  risk's own
    assert opened == [500]


def test_decided_when_repeated_then_says_nothing_twice(
    book: Told, aside: list[dict[str, Any]]
) -> None:
    """The buffer may send it again after a crash; its key is that of the wish."""
    (decision, _) = aside
    assert len(book.give(book.decided(decision), book.decided(decision), book.target(1))) == 1


@pytest.mark.parametrize(
    ("of_decision", "reasons"),
    [
        ({}, []),
        ({"price": 99.0, "timestamp": "2026-01-05T14:31:00Z"}, []),
        ({"quantity": 400}, ["DECIDED_OTHERWISE"]),
        ({"action": "SELL"}, ["DECIDED_OTHERWISE"]),
        ({"approved": False}, ["DECIDED_OTHERWISE"]),
    ],
)
@pytest.mark.parametrize("is_restarted", [False, True])
def test_decided_when_another_worker_decided_the_wish_then_is_a_letter_if_somebody_acts_otherwise(
    book: Told,
    aside: list[dict[str, Any]],
    of_decision: dict[str, Any],
    reasons: list[str],
    *,
    is_restarted: bool,
) -> None:
    """What was decided first stands, also in the snapshot; the time and the price may differ."""
    book.give(book.target(1))
    if is_restarted:
        book.run.persist()
        book.run.restart()
    sent = book.give(book.decided(aside[0] | of_decision))
    assert ([each.reason for each in letters(sent)], read(sent)) == (reasons, [])
    assert [o.lots for o in book.run.fold.look("main").account.reservations.orders] == [500]  # type: ignore[attr-defined]  risk's own


@pytest.mark.parametrize(
    ("changes", "of_decision", "reason"),
    [
        ({"intent_id": "other"}, {}, "BAD_DECISION"),
        ({}, {"portfolio": "other"}, "BAD_DECISION"),
        ({}, {"symbol": "ZZZ"}, "UNKNOWN_SYMBOL"),
        ({}, {"quantity": 2.5}, "BAD_QUANTITY"),
        ({}, {"action": "WAIT"}, "WRONG_TYPE"),
    ],
)
def test_decided_when_it_is_none_then_is_a_letter(
    book: Told,
    aside: list[dict[str, Any]],
    changes: dict[str, Any],
    of_decision: dict[str, Any],
    reason: str,
) -> None:
    """The book is as it was."""
    (decision, _) = aside
    sent = book.give(book.decided(decision | of_decision, **changes))
    assert [letter.reason for letter in letters(sent)] == [reason]
    assert book.run.fold.look("main").account.reservations.orders == []  # type: ignore[attr-defined]  risk's own


def test_decided_when_it_was_refused_then_nothing_is_reserved(book: Told, tmp_path: Path) -> None:
    """An unchecked wish is refused aside as well."""
    other = Told(tmp_path / "unchecked")
    other.warm()
    (decision,) = read(other.give(other.target(1, ONE, is_checked=False)))
    assert read(book.give(book.decided(decision))) == [decision]
    assert book.run.fold.look("main").account.reservations.orders == []  # type: ignore[attr-defined]  risk's own


def test_count_when_more_was_approved_than_allowed_then_is_a_violation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Up to the allowed quantity is right, so is a refusal; one lot more is a defect."""
    child = metrics.RISK_VIOLATIONS.labels("main")
    before = child._value.get()
    risk._count([decision(1, quantity=100, allowed_quantity=100)])
    risk._count([refused(2)])
    assert child._value.get() == before
    risk._count([decision(3, quantity=101, allowed_quantity=100)])
    assert child._value.get() == before + 1
    assert "approved for more than allowed" in caplog.text


def test_count_when_a_bar_has_several_then_each_verdict_and_reason_counts_as_often_as_it_came() -> (
    None
):
    """They are counted together, and come to what one after the other would."""
    buys = decision(1, quantity=100, allowed_quantity=100)
    no = refused(2)
    (reason,) = {each.code for each in no.rejection_reasons}
    counted = (
        metrics.DECISIONS.labels(buys.action, "approved"),
        metrics.DECISIONS.labels(no.action, "refused"),
        metrics.REJECTIONS.labels(reason),
    )
    before = [child._value.get() for child in counted]
    risk._count([buys, no, buys, buys, no])
    after = [child._value.get() for child in counted]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 2, 2]
