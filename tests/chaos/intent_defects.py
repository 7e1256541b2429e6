"""Defects about targets, decisions made aside and dead letters that are no excuse."""

import json
from random import Random
from typing import Any

import pyarrow as pa

from tests.chaos.judge.record import Record, read_slice
from tests.chaos.planting import (
    Defect,
    Kept,
    Test,
    body,
    changed,
    has_rows,
    is_list,
    lost,
    of_dead_tick,
    of_slice,
    plus,
    refused,
    set_to,
    told_as_refused,
    with_fields,
)

DECISIONS, TICKS, BARS = "trading-decisions", "market-ticks", "market-bars"
LOG, LETTERS = "portfolio-events", "dead-letters"


def _of_other_reason(kept: Kept, rng: Random) -> None:
    """Let a dead letter of a tick give a reason that this tick does not give."""
    records, n = rng.choice(kept.places(LETTERS, of_dead_tick))
    headers = dict(records[n].headers)
    is_foreign = headers["reason"] == b"WRONG_PARTITION"
    headers["reason"] = b"BAD_SIZE" if is_foreign else b"WRONG_PARTITION"
    records[n] = records[n]._replace(headers=tuple(headers.items()))


def _good_tick_refused(kept: Kept, rng: Random) -> None:
    """Tell that a good tick came twice, and leave it out of its bar and of all counts."""
    records, n = rng.choice(kept.places(TICKS, is_list))
    tick = json.loads(records[n].value or b"")[0]
    raw = (records[n].value or b"")[1:].partition(b"}")[0] + b"}"
    told_as_refused(kept, records[n], "bars", "DUPLICATE", raw=raw)

    def without(meta: dict[str, Any], batch: pa.RecordBatch) -> pa.RecordBatch:
        meta["counts"]["n_duplicate"] += 1
        at, row = batch.schema.get_field_index("n_ticks"), batch["symbol"].to_pylist()
        n_ticks = batch.column(at).to_pylist()
        n_ticks[row.index(tick["symbol"])] -= 1
        return batch.set_column(at, "n_ticks", pa.array(n_ticks, pa.int64()))

    bars = kept.of[BARS, records[n].partition]
    for at, bar in enumerate(bars):
        slice_ = read_slice(bar)
        if slice_ is None or slice_.meta["first_offset"] > records[n].offset:
            continue
        if slice_.meta["last_offset"] >= records[n].offset:
            bars[at] = bar._replace(value=of_slice(without)(bar.value or b""))


def _aside(record: Record) -> bool:
    return str(body(record).get("intent_id")).startswith("d")


def _of_target(portfolio: str) -> Test:
    return lambda record: body(record).get("intent_id") == f"t254{portfolio}"


def _aside_too_large(kept: Kept, _rng: Random) -> None:
    """Let a decision that was made aside break a limit, in the log and where it is told."""

    def larger(value: bytes) -> bytes:
        return plus("quantity", "100000")(value.replace(b'"approved": false', b'"approved": true'))

    for topic in (LOG, DECISIONS):
        for records, n in kept.places(topic, _aside):
            before = records[n].value
            after = larger(before or b"")
            records[:] = [r._replace(value=after) if r.value == before else r for r in records]


def _void(meta: dict[str, Any], batch: pa.RecordBatch) -> pa.RecordBatch:
    meta["void"] = "NOBODY_KNOWS"
    return batch


def _is_beat(record: Record) -> bool:
    return b"ts_event_ns" in (record.value or b"")


INTENT_DEFECTS = (
    Defect("decision made aside lost", "I1", lost(DECISIONS, _aside)),
    Defect("decision made aside not in the log", "I1", lost(LOG, _aside)),
    Defect(
        "decision made aside, one digit changed",
        "I1",
        changed(DECISIONS, plus("confidence", "1e-8"), _aside),
    ),
    Defect("answer to a target lost", "I1", lost(DECISIONS, _of_target("asset"))),
    Defect(
        "confidence of a target's answer",
        "I1",
        changed(DECISIONS, plus("confidence", "1e-8"), _of_target("people")),
    ),
    Defect("decision made aside over a limit", "I5", _aside_too_large),
    Defect(
        "target approved that was not checked",
        "I5",
        changed(DECISIONS, set_to(approved=True), _of_target("main")),
    ),
    Defect("dead letter with another reason", "I6", _of_other_reason),
    Defect("good tick told as one that came twice", "I6", _good_tick_refused),
    Defect(
        "heartbeat told as another clock's", "I6", refused(TICKS, "bars", "FOREIGN_CLOCK", _is_beat)
    ),
    Defect(
        "good order told as refused",
        "I6",
        refused(LOG, "risk", "UNKNOWN_SYMBOL", with_fields(record="order_intent")),
    ),
    Defect(
        "decision made aside told as too old",
        "I6",
        refused(LOG, "risk", "RECORD_TOO_OLD", with_fields(record="decided_intent")),
    ),
    Defect("good slice told as none", "I6", refused(LOG, "risk", "NOT_A_SLICE", has_rows)),
    Defect("void slice without dead letter", "I6", changed(LOG, of_slice(_void), has_rows)),
)
