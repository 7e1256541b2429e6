"""Defects to plant into a recorded run, each with the invariant that must find it.

Half of them are as small as they can be: one record among thousands, one unit of 1e-16.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa

from tests.chaos.intent_defects import INTENT_DEFECTS
from tests.chaos.judge.exact import paper_id, slot_id, time_ns
from tests.chaos.judge.record import Record
from tests.chaos.planting import (
    Change,
    Defect,
    Kept,
    Test,
    body,
    changed,
    doubled,
    has_rows,
    is_list,
    lost,
    of_dead_tick,
    of_slice,
    plus,
    set_to,
    swapped,
    with_fields,
)
from tests.chaos.report_defects import REPORT_DEFECTS

DECISIONS, EXECUTIONS, SNAPSHOTS = "trading-decisions", "executions", "portfolio-snapshots"
TICKS, BARS, LOG, LETTERS = "market-ticks", "market-bars", "portfolio-events", "dead-letters"

_LEAST = "0.0000000000000001"
_FOREIGN = "00000000-0000-5000-8000-000000000000"


def _is_slot(record: Record) -> bool:
    return body(record).get("intent_id") == ""


def _on_paper(kind: str) -> Test:
    return with_fields(kind=kind, venue="paper")


def _slot_of(said: dict[str, Any]) -> str:
    close_ns = time_ns(said["timestamp"])
    return slot_id(said["portfolio"], said["timeframe"], close_ns, said["symbol"])


def _at_half_a_bar(said: dict[str, Any]) -> str:
    return str(said["timestamp"]).replace("Z", ".5Z")


def _execution_id(said: dict[str, Any]) -> str:
    return paper_id(said["decision_id"], said["kind"], time_ns(said["ts_event"]))


def _two(same: tuple[str, ...], test: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """Return a test of neighbours: some fields are the same, and the rest passes a test."""

    def act(one: Record, two: Record) -> bool:
        a, b = body(one), body(two)
        return all(a.get(k) == b.get(k) for k in same) and test(a, b)

    return act


def _other_bar(field: str) -> Callable[..., bool]:
    return _two(("portfolio",), lambda a, b: a[field] != b[field])


_SAME_BAR = ("portfolio", "timestamp", "intent_id")
_SALE_FIRST = _two(_SAME_BAR, lambda a, b: a["action"] == "SELL" != b["action"])
_NO_SALE = _two(_SAME_BAR, lambda a, b: "SELL" not in (a["action"], b["action"]))


def _whole_bar_lost(kept: Kept, rng: Random) -> None:
    """Lose all that is said at one bar about one portfolio."""
    bar = rng.choice([body(r[n])["timestamp"] for r, n in kept.places(DECISIONS, _is_slot)])
    for topic, field in ((DECISIONS, "timestamp"), (EXECUTIONS, "ts_event")):
        for partition in range(kept.topics()[topic]):
            records = kept.of[topic, partition]
            records[:] = [
                r for r in records if (body(r).get("portfolio"), body(r)[field]) != ("main", bar)
            ]


def _portfolio_lost(kept: Kept, _rng: Random) -> None:
    """Lose all that a portfolio was told and has said, as if it had never been served."""
    for topic in (LOG, DECISIONS, EXECUTIONS, SNAPSHOTS):
        for partition in range(kept.topics()[topic]):
            records = kept.of[topic, partition]
            records[:] = [record for record in records if record.key != b"gross"]


def _last_lost(kept: Kept, _rng: Random) -> None:
    """Lose the very last decision."""
    records, n = kept.places(DECISIONS, _is_slot)[-1]
    del records[n]


def _holding(name: str, step: str) -> Change:
    """Add to a number of the first holding."""

    def change(value: bytes) -> bytes:
        head, tail = value.split(b'"holdings":', 1)
        return head + b'"holdings":' + plus(name, step)(tail)

    return change


def _holds(record: Record) -> bool:
    return bool(body(record).get("holdings"))


def _refused_only_for(code: str) -> Test:
    return lambda record: [r["code"] for r in body(record)["rejection_reasons"]] == [code]


_APPROVED = set_to(approved=True, rejection_reasons=[])


def _approved_though(code: str) -> Defect:
    return Defect(
        f"order approved over {code}", "I5", changed(DECISIONS, _APPROVED, _refused_only_for(code))
    )


def _is_order(record: Record) -> bool:
    said = body(record)
    return bool(said.get("approved") and said.get("action") == "BUY")


def _of_list(change: Callable[[list[Any]], list[Any]]) -> Change:
    return lambda value: json.dumps(change(json.loads(value))).encode()


def _counted(name: str) -> Change:
    def change(meta: dict[str, Any], batch: pa.RecordBatch) -> pa.RecordBatch:
        meta["counts"][name] += 1
        return batch

    return of_slice(change)


def _first_n_ticks_off(_meta: dict[str, Any], batch: pa.RecordBatch) -> pa.RecordBatch:
    at = batch.schema.get_field_index("n_ticks")
    first, *rest = batch.column(at).to_pylist()
    return batch.set_column(at, "n_ticks", pa.array([first + 1, *rest], pa.int64()))


def _letter_about_nothing(kept: Kept, rng: Random) -> None:
    """Add a dead letter of a tick that never was."""
    records, n = rng.choice(kept.places(LETTERS, of_dead_tick))
    headers = tuple((k, b"7" if k == "index" else v) for k, v in records[n].headers)
    key = (records[n].key or b"").rpartition(b":")[0] + b":7"
    records.append(records[n]._replace(key=key, headers=headers, value=b"nothing"))


DEFECTS = (
    *INTENT_DEFECTS,
    *REPORT_DEFECTS,
    Defect("decision lost", "I1", lost(DECISIONS, _is_slot)),
    Defect("last decision lost", "I1", _last_lost),
    Defect("all of a bar lost", "I1", _whole_bar_lost),
    Defect("portfolio lost", "I1", _portfolio_lost),
    Defect("answer to an intent lost", "I1", lost(DECISIONS, lambda r: not _is_slot(r))),
    Defect(
        "decision on a symbol that is not traded",
        "I1",
        doubled(
            DECISIONS,
            lambda v: set_to(decision_id=_slot_of)(set_to(symbol="SYN7")(v)),
            with_fields(portfolio="asset"),
        ),
    ),
    Defect(
        "decision at a time without bar",
        "I1",
        doubled(
            DECISIONS, lambda v: set_to(decision_id=_slot_of)(set_to(timestamp=_at_half_a_bar)(v))
        ),
    ),
    Defect("decision again, one digit changed", "I2", doubled(DECISIONS, plus("price", "1e-8"))),
    Defect("account again, other bytes", "I2", doubled(SNAPSHOTS, plus("cash", _LEAST))),
    Defect("decision under a foreign id", "I2", changed(DECISIONS, set_to(decision_id=_FOREIGN))),
    Defect(
        "decision again under another id", "I2", doubled(DECISIONS, set_to(decision_id=_FOREIGN))
    ),
    Defect(
        "execution under a foreign id", "I2", changed(EXECUTIONS, set_to(execution_id=_FOREIGN))
    ),
    Defect("two bars' decisions swapped", "I3", swapped(DECISIONS, _other_bar("timestamp"))),
    Defect("purchase before sale", "I3", swapped(DECISIONS, _SALE_FIRST)),
    Defect("two decisions of a bar swapped", "I3", swapped(DECISIONS, _NO_SALE)),
    Defect("two accounts swapped", "I3", swapped(SNAPSHOTS, _other_bar("timestamp"))),
    Defect("two bars' executions swapped", "I3", swapped(EXECUTIONS, _other_bar("ts_event"))),
    Defect("account lost", "I4", lost(SNAPSHOTS)),
    Defect("account of no bar", "I4", doubled(SNAPSHOTS, set_to(timestamp=_at_half_a_bar))),
    *(
        Defect(f"{name} off by 1e-16", "I4", changed(SNAPSHOTS, plus(name, _LEAST)))
        for name in ("cash", "equity", "gross", "realised", "unrealised", "fees", "day_open_equity")
    ),
    Defect("open orders off by one", "I4", changed(SNAPSHOTS, plus("open_orders", "1"))),
    *(
        Defect(f"{name} of a holding off", "I4", changed(SNAPSHOTS, _holding(name, step), _holds))
        for name, step in (("quantity", "1"), ("open_quantity", "1"), ("cost", _LEAST))
    ),
    Defect("execution one lot off", "I4", changed(EXECUTIONS, plus("quantity", "1"))),
    Defect(
        "price off by 1e-8", "I4", changed(EXECUTIONS, plus("price", "1e-8"), _on_paper("fill"))
    ),
    Defect("fee off by 1e-16", "I4", changed(EXECUTIONS, plus("fee", _LEAST), _on_paper("fill"))),
    Defect(
        "sale for a purchase",
        "I4",
        changed(EXECUTIONS, set_to(side="SELL"), with_fields(side="BUY")),
    ),
    Defect("fill lost", "I4", lost(EXECUTIONS, _on_paper("fill"))),
    Defect("venue's fill lost", "I4", lost(EXECUTIONS, with_fields(venue="external"))),
    Defect("expiry lost", "I4", lost(EXECUTIONS, _on_paper("expire"))),
    Defect(
        "fill told as expiry",
        "I4",
        changed(
            EXECUTIONS,
            lambda v: set_to(execution_id=_execution_id)(set_to(kind="expire")(v)),
            _on_paper("fill"),
        ),
    ),
    Defect(
        "execution without order",
        "I4",
        doubled(
            EXECUTIONS,
            lambda v: set_to(execution_id=_execution_id)(set_to(decision_id=_FOREIGN)(v)),
            _on_paper("fill"),
        ),
    ),
    Defect(
        "execution again under another id",
        "I4",
        doubled(EXECUTIONS, set_to(execution_id=_FOREIGN), _on_paper("fill")),
    ),
    Defect("order one lot off", "I4", changed(DECISIONS, plus("quantity", "1"), _is_order)),
    Defect("order told as refused", "I4", changed(DECISIONS, set_to(approved=False), _is_order)),
    Defect("dividend lost", "I4", lost(LOG, with_fields(record="dividend"))),
    *(
        _approved_though(code)
        for code in (
            "MAX_ASSET_FRACTION",
            "MAX_SECTOR_FRACTION",
            "MAX_LEVERAGE",
            "MAX_GROSS_EXPOSURE",
            "MAX_NET_EXPOSURE",
            "MAX_ORDER_VALUE",
            "SHORT_SALE",
            "RESTRICTED_SYMBOL",
        )
    ),
    Defect("dead letter lost", "I6", lost(LETTERS, of_dead_tick)),
    Defect("dead letter again, other bytes", "I6", doubled(LETTERS, lambda v: v + b" ")),
    Defect("dead letter about nothing", "I6", _letter_about_nothing),
    Defect("record of ticks lost", "I6", lost(TICKS, is_list)),
    Defect("tick of a list lost", "I6", changed(TICKS, _of_list(lambda t: t[:-1]), is_list)),
    Defect("tick of a list twice", "I6", changed(TICKS, _of_list(lambda t: [*t, t[-1]]), is_list)),
    Defect("bars lost", "I6", lost(BARS, has_rows)),
    Defect("one bar lost", "I6", changed(BARS, of_slice(lambda _, b: b.slice(1)), has_rows)),
    Defect(
        "ticks of a bar off by one", "I6", changed(BARS, of_slice(_first_n_ticks_off), has_rows)
    ),
    *(
        Defect(f"{name} off by one", "I6", changed(BARS, _counted(name)))
        for name in ("n_in", "n_late", "n_duplicate", "n_crossed", "n_dead")
    ),
    *(
        Defect(f"row of {table} lost", "I7", lost(f"sql/{table}"))
        for table in ("epochs", "regime_history", "weight_decisions", "risk_metrics", "positions")
    ),
    Defect("change of a book lost", "I7", lost("sql/book_changes", with_fields(record="dividend"))),
    Defect(
        "weight off by 1e-16",
        "I7",
        changed("sql/weight_decisions", plus("bear_specialist", _LEAST)),
    ),
    Defect("cash of a row off by 1e-16", "I7", changed("sql/risk_metrics", plus("cash", _LEAST))),
    Defect("actor of a change", "I7", changed("sql/book_changes", set_to(actor="nobody"))),
    Defect(
        "amount in a change",
        "I7",
        changed("sql/book_changes", plus("amount", "1e-8"), with_fields(record="dividend")),
    ),
    Defect("lateness of an epoch", "I7", changed("sql/epochs", plus("lateness_ms", "1"))),
    Defect("row of positions too many", "I7", doubled("sql/positions", set_to(symbol="SYN9"))),
    Defect("row of regime_history twice", "I7", doubled("sql/regime_history", lambda v: v)),
)
