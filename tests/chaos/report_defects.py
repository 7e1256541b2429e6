"""Defects on the way of venues' reports into the book's log."""

from random import Random

from tests.chaos.judge.record import Record
from tests.chaos.planting import (
    Defect,
    Kept,
    body,
    changed,
    doubled,
    lost,
    plus,
    set_to,
    told_as_refused,
    with_fields,
)

REPORTS, LOG, LETTERS = "venue-executions", "portfolio-events", "dead-letters"

_IS_COPY = with_fields(record="venue_execution")
_IS_GOOD = with_fields(kind="fill")


def _is_letter(record: Record) -> bool:
    return dict(record.headers)["stage"] == b"execution"


def _good_report_refused(kept: Kept, rng: Random) -> None:
    """Tell that a good report was refused, and leave it out of the log."""
    records, n = rng.choice(kept.places(REPORTS, _IS_GOOD))
    told_as_refused(kept, records[n], "execution", "BAD_PRICE")
    _without_copy(kept, body(records[n])["execution_id"])


def _one_of_two_copies_lost(kept: Kept, _rng: Random) -> None:
    """Lose one copy of a report that the venue has repeated."""
    for partition in range(kept.topics()[LOG]):
        records = kept.of[LOG, partition]
        copies = [n for n, record in enumerate(records) if body(record).get("execution_id") == "x1"]
        if copies:
            del records[copies[-1]]


def _letter_about_nothing(kept: Kept, rng: Random) -> None:
    """Add a dead letter of a report that never was."""
    records, n = rng.choice(kept.places(REPORTS, _IS_GOOD))
    nowhere = records[n]._replace(offset=records[-1].offset + 1)
    told_as_refused(kept, nowhere, "execution", "BAD_PRICE")


def _without_copy(kept: Kept, execution_id: str) -> None:
    for partition in range(kept.topics()[LOG]):
        records = kept.of[LOG, partition]
        records[:] = [r for r in records if body(r).get("execution_id") != execution_id]


REPORT_DEFECTS = (
    Defect("copy of a report lost", "I6", lost(LOG, _IS_COPY)),
    Defect("copy of a repeated report lost", "I6", _one_of_two_copies_lost),
    Defect(
        "fee of a copy off by 1e-16",
        "I6",
        changed(LOG, plus("fee", "0.0000000000000001"), _IS_COPY),
    ),
    Defect("copy of no report", "I6", doubled(LOG, set_to(execution_id="never"), _IS_COPY)),
    Defect("good report told as refused, and not copied", "I6", _good_report_refused),
    Defect("dead letter of a bad report lost", "I6", lost(LETTERS, _is_letter)),
    Defect("dead letter about no report", "I6", _letter_about_nothing),
)
