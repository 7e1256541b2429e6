"""Executions of venues enter the book's log, or the dead letters."""

import json
from typing import Any

import pytest

from agents.execution import SNAPSHOT_RECORDS, ExecutionFold
from agents.stage import Output
from tests.builders import MIDNIGHT, Run, letters, reader_of, record

SAID: dict[str, Any] = {
    "execution_id": "e1",
    "decision_id": "d1",
    "portfolio": "main",
    "symbol": "AAA",
    "kind": "fill",
    "side": "BUY",
    "quantity": 2,
    "price": 100.5,
    "fee": 0.5,
    "currency": "USD",
    "ts_event": MIDNIGHT,
    "venue": "X",
}


@pytest.fixture
def run() -> Run:
    """Give an empty fold."""
    return Run(lambda _partition, read: ExecutionFold(read))


def test_fold_when_a_report_is_well_formed_then_is_copied_under_its_portfolio(run: Run) -> None:
    """The copy says what kind of record it is, for a log of many kinds; headers go along."""
    (sent,) = run.take([record(SAID, 7, key=b"other", headers=[("trace", b"t")])])
    assert isinstance(sent, Output)
    assert (sent.topic, sent.key, sent.headers) == (
        "portfolio-events",
        b"main",
        [("trace", b"t")],
    )
    assert json.loads(sent.value) == {**SAID, "record": "venue_execution", "corrects": ""}


def test_fold_when_headers_fill_a_record_then_is_a_dead_letter(run: Run) -> None:
    """With them the copy, which says more, would be larger than the broker takes."""
    (letter,) = letters(run.take([record(SAID, 7, headers=[("trace", b"t" * 1_000_000)])]))
    assert (letter.reason, letter.field) == ("HEADERS_TOO_LARGE", "headers")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"quantity": 0}, "BAD_QUANTITY", "quantity"),
        ({"quantity": "2"}, "WRONG_TYPE", "quantity"),
        ({"price": 1e300}, "BAD_PRICE", "price"),
        ({"kind": "correction"}, "BAD_ID", "corrects"),
        ({"ts_event": 5}, "BAD_TIMESTAMP", ""),
        ({"kind": "gift"}, "WRONG_TYPE", "kind"),
    ],
)
def test_fold_when_a_report_is_malformed_then_is_a_dead_letter(
    run: Run, changes: dict[str, Any], reason: str, field: str
) -> None:
    """The letter names the field, keeps the bytes, and the next report is copied."""
    sent = run.take([record(SAID | changes), record(SAID, 1)])
    (letter,) = letters(sent)
    assert (letter.reason, letter.field, letter.stage) == (reason, field, "execution")
    assert len(sent) == 2


def test_due_when_many_were_copied_then_notes_the_progress() -> None:
    """Nothing is kept but how far it has read."""
    fold = ExecutionFold(reader_of({}))
    for offset in range(SNAPSHOT_RECORDS):
        assert not fold.due()
        list(fold.apply(record(SAID, offset)))
    assert fold.due()
    assert fold.snapshot() == ({}, SNAPSHOT_RECORDS)
    assert not fold.due()
