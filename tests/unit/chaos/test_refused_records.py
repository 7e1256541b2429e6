"""Which reasons the book may give for a refusal, looked up by hand for each kind of record."""

from typing import Any

import pytest

from tests.chaos.judge.refused_records import Refusal, excuse
from tests.unit.chaos.world import account

DAY_S = 86_400


def refusal(**said: Any) -> Refusal:  # noqa: ANN401  fields of a record
    """Return a good order of two units of A, with other fields, refused on the third day."""
    made, _ = account()
    made.day = made.portfolio.day(3 * DAY_S * 10**9)
    order = {
        "record": "order_intent",
        "portfolio": "main",
        "ts_event": 3 * DAY_S * 10**9,
        "intent_id": "i",
        "symbol": "A",
        "side": "BUY",
        "quantity": 2,
    }
    return Refusal("main", order | said, made, {("intent_id", "known")})


RIGHT = (
    ("UNKNOWN_SYMBOL", {"symbol": "Z"}),
    ("BAD_QUANTITY", {"quantity": 1.25}),
    ("BAD_QUANTITY", {"quantity": 0}),
    ("BAD_PRICE", {"price": 0}),
    ("WRONG_KEY", {"portfolio": "other"}),
    ("RECORD_TOO_OLD", {"ts_event": DAY_S * 10**9}),
    ("RECORD_FROM_FUTURE", {"ts_event": 18 * DAY_S * 10**9}),
    ("WRONG_TYPE", {"side": 3}),
    ("WRONG_TYPE", {"record": "no_such_kind"}),
    ("FORBIDDEN", {"record": "limit_change", "role": "trader"}),
    ("CURRENCY_MISMATCH", {"record": "venue_execution", "currency": "EUR"}),
    ("OTHER_EPOCH", {"record": "target_intent", "epoch_digest": "another"}),
    (
        "BAD_DECISION",
        {
            "record": "decided_intent",
            "decision": {"portfolio": "main", "intent_id": "j", "symbol": "A", "quantity": 2},
        },
    ),
    ("DECIDED_OTHERWISE", {"record": "decided_intent", "intent_id": "known"}),
)


@pytest.mark.parametrize(("reason", "said"), RIGHT)
def test_excuse_when_the_record_gives_the_reason_then_there_is_nothing_to_say(
    reason: str, said: dict[str, Any]
) -> None:
    """The book may refuse this."""
    assert excuse(reason, refusal(**said)) == ""


WRONG = (
    *((reason, {}) for reason in ("UNKNOWN_SYMBOL", "BAD_QUANTITY", "WRONG_KEY", "RECORD_TOO_OLD")),
    ("RECORD_FROM_FUTURE", {}),
    ("TOO_MANY_RECORDS", {}),
    ("BAD_PRICE", {}),
    ("BAD_PRICE", {"price": 10}),
    ("FORBIDDEN", {}),
    ("FORBIDDEN", {"record": "limit_change", "role": "admin"}),
    ("BAD_LIMIT", {}),
    ("NO_SUCH_REASON", {}),
    ("UNKNOWN_SYMBOL", {"record": "no_such_kind"}),
    ("DECIDED_OTHERWISE", {"record": "decided_intent"}),
    # A decision that was answered cannot come too late.
    (
        "RECORD_TOO_OLD",
        {"record": "decided_intent", "ts_event": 1, "decision": {"symbol": "A", "quantity": 2}},
    ),
)


@pytest.mark.parametrize(("reason", "said"), WRONG)
def test_excuse_when_the_record_gives_no_such_reason_then_says_what_was_expected(
    reason: str, said: dict[str, Any]
) -> None:
    """The book may not refuse this, or not for that."""
    assert excuse(reason, refusal(**said)) != ""
