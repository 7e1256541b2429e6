"""One trial: a run goes in, a verdict comes out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tests.chaos.judge.audit import Audit
from tests.chaos.judge.book import Book, Kept, Outputs
from tests.chaos.judge.documents import Documents
from tests.chaos.judge.flow import Flow
from tests.chaos.judge.ids import Ids
from tests.chaos.judge.letters import Letters
from tests.chaos.judge.order import Order
from tests.chaos.judge.record import Record, Source, Unjudgeable
from tests.chaos.judge.reports import Reports
from tests.chaos.judge.said import Said
from tests.chaos.judge.slots import Slots
from tests.chaos.judge.verdict import Invariant, Verdict

# Effects before their causes: the order in which a broker is asked for the ends of its topics.
TOPICS = (
    "portfolio-snapshots",
    "executions",
    "trading-decisions",
    "portfolio-events",
    "venue-executions",
    "strategy-weights",
    "regime-probabilities",
    "market-bars",
    "market-ticks",
    "dead-letters",
)


# What the judge looks at; the schemas name more.
_FIELDS = {
    "trading-decisions": (
        *("decision_id", "portfolio", "symbol", "timestamp", "timeframe", "action", "quantity"),
        *("price", "confidence", "approved"),
    ),
    "executions": (
        *("execution_id", "decision_id", "portfolio", "symbol", "kind", "side", "quantity"),
        *("price", "fee", "ts_event"),
    ),
    "portfolio-snapshots": (
        *("portfolio", "timestamp", "cash", "equity", "gross", "realised", "unrealised", "fees"),
        *("holdings", "risk"),
    ),
}


def judge(
    source: Source,
    *,
    is_running: bool = False,
    is_clean: bool = False,
    least: Mapping[str, int] = MappingProxyType({}),
) -> Verdict:
    """Judge a run.

    Parameters
    ----------
    source
        Its topics and documents, and its rows of SQL where there are any.
    is_running
        Whether the run goes on: then bars behind the last published account are on their way, and
        rows of SQL are not compared, because the archive follows.
    is_clean
        Whether nothing bad was sent: then there may be no dead letter at all.
    least
        How much of a promise must have been checked, by its code; without: something of each, but
        rows of SQL only where there are any.

    Raises
    ------
    Unjudgeable
        If topics or documents are missing.
    """
    missing = [name for name in TOPICS if name not in source.topics()]
    if missing:
        raise Unjudgeable(
            f"no topic {missing[0]}; expected all of {', '.join(TOPICS)}: is it --run?"
        )
    verdict = Verdict()
    documents, letters = Documents(source), Letters(source, verdict.flow)
    slots = Slots(verdict.slots)
    Flow(source, documents, letters, slots, verdict.flow).check(is_running=is_running)
    Reports(source, letters, verdict.flow).check(is_running=is_running)
    ids, order = Ids(verdict.ids), Order(verdict.order)
    until_ns: dict[str, int] = {}
    for partition in range(source.topics()["portfolio-events"]):
        outputs = _outputs(source, partition, ids, order, verdict)
        kept = Kept(documents, letters, slots, order)
        book = Book(outputs, kept, verdict, is_running=is_running)
        for record in source.records("portfolio-events", partition):
            book.take(record)
        book.finish()
        until_ns |= {name: desk.bar_ns for name, desk in book.desks.items()}
    order.finish()
    for portfolio in documents.portfolios():
        slots.check(portfolio, until_ns.get(portfolio.id, -1) if is_running else None)
    _look_at_letters(letters, verdict.flow, is_running=is_running, is_clean=is_clean)
    if is_running:
        verdict.audit.notes.append("not compared: the run goes on")
        verdict.audit.least = 0
    else:
        Audit(source, letters, verdict.audit).check()
    for promise in verdict.all():
        promise.least = least.get(promise.code, promise.least)
    return verdict


def _look_at_letters(
    letters: Letters, flow: Invariant, *, is_running: bool, is_clean: bool
) -> None:
    """Look for letters that are about nothing, and for any where nothing bad was sent."""
    if not is_running:
        for letter in letters.unasked("risk"):
            flow.broken(letter.record.place, letter.reason, "a record that it is about")
    first = letters.first()
    if is_clean and first is not None:
        found = f"{len(letters):,} dead letters, first {first.reason}"
        flow.broken(first.record.place, found, "none: the input is clean")


def _outputs(source: Source, partition: int, ids: Ids, order: Order, verdict: Verdict) -> Outputs:
    """Return what risk said into a partition; ids and order are looked at as it is read."""

    def decision(record: Record, said: dict[str, Any]) -> bool:
        ids.decision(said, record)
        is_first = ids.is_first(said["decision_id"], record)
        if is_first:
            answers = said["decision_id"] if said.get("intent_id") else ""
            order.take(said["portfolio"], said["timestamp"], record, answers)
            order.decision(said, record)
        return is_first

    def execution(record: Record, said: dict[str, Any]) -> bool:
        ids.execution(said, record)
        is_first = ids.is_first(said["execution_id"], record)
        if is_first:
            order.take(said["portfolio"], said["ts_event"], record)
        return is_first

    def snapshot(record: Record, said: dict[str, Any]) -> bool:
        is_first = ids.is_first(f"{said['portfolio']} {said['timestamp']}", record)
        if is_first:
            order.take(said["portfolio"], said["timestamp"], record)
        return is_first

    seen = {"trading-decisions": decision, "executions": execution, "portfolio-snapshots": snapshot}
    return Outputs(
        *(
            Said(source.records(name, partition), _FIELDS[name], see, verdict.ids)
            for name, see in seen.items()
        )
    )
