"""What was decided first stands; what was answered otherwise is named."""

from typing import Any

import pytest

from models.risk.memory import Memory
from streams.errors import FieldError
from streams.instructions import DecidedIntent
from tables.decided import refuse_otherwise, remember
from tests.unit.tables.views.played import decision


def told(**changes: Any) -> DecidedIntent:  # noqa: ANN401  any field
    """Return the record of a decision that was made aside under the key k1."""
    return DecidedIntent(
        portfolio="main", ts_event=1, intent_id="k1", decision=decision(1, **changes)
    )


def test_refuse_when_it_was_decided_otherwise_then_says_what_was_answered() -> None:
    """Whole units are the same as an integer and as a float; an unknown key has no decision."""
    memory = Memory()
    refuse_otherwise(memory, told(quantity=7))
    remember(memory, "intent:k1", decision(1, action="BUY", quantity=5))
    refuse_otherwise(memory, told(action="BUY", quantity=5.0, price=1.5))
    with pytest.raises(FieldError, match=r"DECIDED_OTHERWISE: decision was 'BUY 7 .* about 'k1'"):
        refuse_otherwise(memory, told(action="BUY", quantity=7))


def test_refuse_when_the_id_is_from_an_older_snapshot_then_is_taken_for_a_repeat() -> None:
    """It has no checksum, so nothing can be said of it."""
    refuse_otherwise(Memory(1, {"intent:k1": 1}), told(quantity=7))
