"""A wish over HTTP: the record that it becomes, the decision, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.prediction.ensemble import predict
from streams.questions import Predict
from streams.timestamps import format_ns
from tables.recent import BARS_KEPT
from tables.views.predict import FirstAsked
from tests.builders import MIDNIGHT, MINUTE
from tests.unit.agents.test_risk import SYMBOLS
from tests.unit.tables.views.answering import Answering
from tests.unit.tables.views.conftest import Asking, Serve

ONE, TWO = SYMBOLS[0], SYMBOLS[1]
PATH = "/api/v1/predict"


async def test_predict_when_asked_then_the_record_holds_what_the_bar_said(asking: Asking) -> None:
    """Confidence and target are the ensemble's of the row; everything else is the row itself."""
    status, said, answer = await asking.ask(PATH, {"symbol": ONE}, headers={"Idempotency-Key": "k"})
    assert status == 200
    (record,) = asking.desk.appended
    book, _ = asking.desk.book("main")
    row = book.recent.newest(ONE, MIDNIGHT + MINUTE)
    assert row is not None
    ensemble = asking.desk.epoch(row.epoch_digest).models.ensemble
    confidence, _, target = predict(
        ensemble, row.features[None], row.scores[None], row.weights[None]
    )
    wished = [None if np.isnan(v) else v for v in (confidence[0], target[0])]
    assert [record.confidence, record.target_fraction] == wished
    assert record.bar_close == row.close_ns == MIDNIGHT + MINUTE
    assert list(record.regime) == row.regime.tolist()
    assert list(record.weights) == row.weights.tolist()
    assert [np.nan if v is None else v for v in record.features] == pytest.approx(
        row.features.tolist(), nan_ok=True
    )
    assert (record.intent_id, record.strategy, record.is_checked) == ("k", "model", True)
    assert answer.headers["Idempotency-Key"] == "k"
    assert said["bar_close"] == format_ns(MIDNIGHT + MINUTE)
    assert said["latency_ms"] >= 0


async def test_predict_when_asked_then_acts_within_the_bar_that_is_open(asking: Asking) -> None:
    """The caller's clock is years ahead of the book; its record is not."""
    await asking.ask(PATH, {"symbol": ONE})
    assert asking.desk.appended[0].ts_event == MIDNIGHT + 2 * MINUTE


async def test_predict_when_answered_then_its_fields_are_those_of_the_event(
    asking: Asking,
) -> None:
    """What HTTP says and what Kafka has is one decision."""
    values: list[bytes] = []
    decide = asking.desk.decide

    async def kept(*given: object) -> bytes:
        values.append(await decide(*given))  # type: ignore[arg-type]  as the desk is called
        return values[-1]

    asking.desk.decide = kept  # type: ignore[method-assign]  a spy
    _, said, _ = await asking.ask(PATH, {"symbol": ONE})
    event = json.loads(values[0])
    shared = set(said) & set(event)
    assert shared >= {"decision_id", "action", "confidence", "quantity", "regime_probs", "digests"}
    assert {name: said[name] for name in shared} == {name: event[name] for name in shared}
    names = ("approved", "rejection_reasons", "allowed_quantity")
    assert said["risk"] == {name: event[name] for name in names}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strategy_override": "bear_specialist"}, "strategy_override"),
        ({"timestamp": "1970-01-01T00:01:00Z"}, "timestamp"),
    ],
)
async def test_predict_when_a_key_comes_with_another_body_then_is_refused(
    asking: Asking, change: dict[str, str], field: str
) -> None:
    """Nobody takes the answer to another question for his own."""
    headers = {"Idempotency-Key": "once"}
    _, first, _ = await asking.ask(PATH, {"symbol": ONE}, headers=headers)
    if field == "timestamp":
        change = {field: first["bar_close"]}
    status, said, _ = await asking.ask(PATH, {"symbol": ONE} | change, headers=headers)
    assert (status, said["code"], said["errors"][0]["field"]) == (409, "KEY_REUSED", field)


def test_keys_when_asked_again_behind_the_next_bar_then_the_first_bar_answers() -> None:
    """An answer never has the decision of one bar and the close of another."""
    first, asked = FirstAsked(), Predict(symbol=ONE)
    earlier, later = object(), object()
    assert first.row("main", "k", asked) is None
    first.keep("main", "k", asked, earlier)  # type: ignore[arg-type]  any row
    first.keep("other", "k", asked, later)  # type: ignore[arg-type]  any row
    again = Predict(symbol=ONE, explain=True)
    assert first.row("main", "k", again) is earlier
    assert first.row("other", "k", again) is later


async def test_predict_when_its_bar_is_no_longer_kept_then_a_key_has_the_same_answer(
    asking: Asking,
) -> None:
    """Same key, same body, same decision, however many bars have come; the reasons are told too."""
    timestamp = format_ns(MIDNIGHT + MINUTE)
    body: dict[str, object] = {"symbol": ONE, "timestamp": timestamp}
    decided = await _event_of(asking, body, "early")
    for minute in range(2, BARS_KEPT + 2):
        asking.desk.bar(minute, target=0.0)
    status, said, _ = await asking.ask(PATH, body, headers={"Idempotency-Key": "late"})
    assert (status, said["code"]) == (422, "BAR_NOT_KEPT")

    async def same(*_given: object) -> bytes:
        return decided

    asking.desk.decide = same  # type: ignore[method-assign]  what a worker remembers
    again = body | {"explain": True}
    status, said, _ = await asking.ask(PATH, again, headers={"Idempotency-Key": "early"})
    assert (status, said["bar_close"]) == (200, timestamp)
    assert said["decision_id"] == json.loads(decided)["decision_id"]
    assert said["explanation"]["decision_id"] == said["decision_id"]


async def test_predict_when_its_bar_is_gone_and_the_worker_new_then_a_key_is_told_its_decision(
    asking: Asking, serve: Serve
) -> None:
    """The book remembers the key longer than the process does, and longer than the bar is kept."""
    body: dict[str, object] = {"symbol": ONE, "timestamp": format_ns(MIDNIGHT + MINUTE)}
    decided = json.loads(await _event_of(asking, body, "early"))["decision_id"]
    for minute in range(2, BARS_KEPT + 2):
        asking.desk.bar(minute, target=0.0)
    again = await serve(asking.desk)
    status, said, answer = await again.ask(PATH, body, headers={"Idempotency-Key": "early"})
    assert (status, said["code"]) == (409, "DECIDED_BEFORE")
    assert answer.headers["Location"] == f"/api/v1/decisions/{decided}"


async def test_predict_when_a_specialist_is_wanted_then_it_alone_has_weight(
    asking: Asking,
) -> None:
    """The strategy is its name, by which it can be stopped."""
    body = {"symbol": ONE, "strategy_override": "bear_specialist"}
    status, said, _ = await asking.ask(PATH, body)
    assert status == 200
    assert list(said["strategy_weights"].values()) == [0.0, 1.0, 0.0]
    assert asking.desk.appended[0].strategy == "bear_specialist"


async def test_predict_when_asked_why_then_the_answer_explains_itself(asking: Asking) -> None:
    """The families of features add up to the log odds; unasked there is nothing."""
    status, said, _ = await asking.ask(PATH, {"symbol": ONE, "explain": True})
    why = said["explanation"]
    assert (status, why["decision_id"], why["explained"]) == (200, said["decision_id"], "model")
    total = why["base_logit"] + sum(why["families"].values())
    assert total == pytest.approx(why["logit"], abs=1e-9)
    _, said, _ = await asking.ask(PATH, {"symbol": ONE})
    assert said["explanation"] is None


async def test_predict_when_risk_is_left_out_then_only_for_researchers(asking: Asking) -> None:
    """A trader is refused; for a researcher it is marked and can never be executed."""
    body = {"symbol": ONE, "risk_check": False}
    status, said, _ = await asking.ask(PATH, body)
    assert (status, said["code"]) == (403, "FORBIDDEN")
    status, said, _ = await asking.ask(PATH, body, role="researcher")
    assert (status, said["risk"]["approved"], said["note"]) == (200, False, "NOT_CHECKED")
    assert [r["code"] for r in said["risk"]["rejection_reasons"]] == ["NOT_CHECKED"]


async def test_predict_when_a_key_is_used_for_something_else_then_is_a_conflict(
    asking: Asking,
) -> None:
    """409 with the decision that the key has."""
    decided = await _event_of(asking, {"symbol": ONE}, "again")

    async def same(*_given: object) -> bytes:
        return decided

    asking.desk.decide = same  # type: ignore[method-assign]  what a worker remembers
    status, said, _ = await asking.ask(PATH, {"symbol": TWO}, headers={"Idempotency-Key": "again"})
    assert (status, said["code"]) == (409, "KEY_REUSED")


async def _event_of(asking: Asking, body: object, key: str) -> bytes:
    values: list[bytes] = []
    decide = asking.desk.decide

    async def kept(*given: object) -> bytes:
        values.append(await decide(*given))  # type: ignore[arg-type]  as the desk is called
        return values[-1]

    asking.desk.decide = kept  # type: ignore[method-assign]  a spy
    await asking.ask(PATH, body, headers={"Idempotency-Key": key})
    asking.desk.decide = decide  # type: ignore[method-assign]  as it was
    return values[0]


async def test_predict_when_a_kept_bar_is_named_then_that_one_counts(asking: Asking) -> None:
    """The bar before the last; one that is not kept is refused with those that are."""
    asking.desk.bar(2, price=110.0, target=0.0)
    older = format_ns(MIDNIGHT + MINUTE)
    status, said, _ = await asking.ask(PATH, {"symbol": ONE, "timestamp": older})
    assert (status, said["bar_close"]) == (200, older)
    for timestamp, code in (
        (format_ns(MIDNIGHT + 9 * MINUTE), "BAR_NOT_KEPT"),
        ("yesterday", "BAD_TIMESTAMP"),
        ("2024-01-02T00:01:00", "BAD_TIMESTAMP"),
    ):
        status, said, _ = await asking.ask(PATH, {"symbol": ONE, "timestamp": timestamp})
        assert (status, said["code"], said["errors"][0]["field"]) == (422, code, "timestamp")


async def test_predict_when_nothing_is_known_of_the_symbol_then_says_what(asking: Asking) -> None:
    """A stranger is not found; who did not trade of late has nothing to say."""
    status, said, _ = await asking.ask(PATH, {"symbol": "NOBODY"})
    assert (status, said["code"]) == (404, "UNKNOWN_SYMBOL")
    rows = {TWO: (100.0, 0.6, 0.1)}
    for minute in range(2, 2 + BARS_KEPT):
        asking.desk.log.run.take(asking.desk.log.bar(minute, rows))
    status, said, _ = await asking.ask(PATH, {"symbol": ONE})
    assert (status, said["code"]) == (409, "NO_RECENT_BAR")


async def test_predict_when_no_bar_has_come_then_is_not_ready(serve: Serve, tmp_path: Path) -> None:
    """503, and when to try again."""
    asking = await serve(Answering(tmp_path / "artifacts"))
    status, said, answer = await asking.ask(PATH, {"symbol": ONE, "portfolio": "main"})
    assert (status, said["code"], answer.headers["Retry-After"]) == (503, "NO_BOOK", "1")


@pytest.mark.parametrize("key", ["", "x" * 65, "é", "a\tb"])
async def test_predict_when_the_key_is_no_key_then_is_refused(asking: Asking, key: str) -> None:
    """Up to 64 printable characters."""
    status, said, _ = await asking.ask(PATH, {"symbol": ONE}, headers={"Idempotency-Key": key})
    assert (status, said["code"]) == (422, "BAD_KEY")


async def test_predict_when_traced_then_the_log_is_too(asking: Asking) -> None:
    """Request id and trace context go along with the record; what is no trace does not."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Request-Id": "r-1", "traceparent": trace}
    _, _, answer = await asking.ask(PATH, {"symbol": ONE}, headers=headers)
    assert answer.headers["X-Request-Id"] == "r-1"
    assert asking.desk.headers[0] == {"request-id": "r-1", "traceparent": trace}
    await asking.ask(PATH, {"symbol": ONE}, headers={"traceparent": "nonsense"})
    assert set(asking.desk.headers[1]) == {"request-id"}
