"""``GET /api/v1/decisions`` and one of them: what was decided, as the run's log has it.

Answered by the process of the pages, which follows the topic; workers know the way there.
"""

from streams.errors import RecordError
from streams.questions import DecisionLine, DecisionsAnswer, OfDecisions
from streams.records import Decision
from tables.stores.decision_log import LogAway, LogError
from tables.views.auth import Caller
from tables.views.decision_row import (
    DecisionRow,
    decode_decision,
    is_decision_id,
)
from tables.views.problems import ProblemError, not_ready, unknown, wrong
from tables.views.query import DecisionQuery, QueryError, format_cursor, parse_cursor
from tables.views.routes import Bound, Call, Nothing, Reply, Route
from tables.views.run_log import Log
from tables.views.run_memory import RunMemory

DECISIONS = Route(
    "GET",
    "/api/v1/decisions",
    "listDecisions",
    "Decisions, the newest first",
    "Filters can be combined. The newest 5,000 are kept; older ones are in SQL.",
    OfDecisions,
    DecisionsAnswer,
    limited="features",
)
DECISION = Route(
    "GET",
    "/api/v1/decisions/{decision_id}",
    "getDecision",
    "One decision, as it is on Kafka",
    "The bytes of the event on `trading-decisions`.",
    Nothing,
    Decision,
    limited="features",
    codes=(404,),
)


def decision_endpoints(memory: RunMemory, log: Log) -> tuple[Bound, ...]:
    """Return the endpoints about what was decided."""

    async def decisions(call: Call) -> Reply:
        asked: OfDecisions = call.asked
        before = None
        if asked.before is not None:
            try:
                before = parse_cursor("before", asked.before)
            except QueryError as error:
                raise wrong("BAD_CURSOR", error.parameter, error.value, error.expected) from error
        query = DecisionQuery(
            symbol=asked.symbol or "",
            action=asked.action or "",
            verdict=asked.verdict or "",
            reason=asked.reason or "",
            portfolio=asked.portfolio or "",
        )

        def wanted(row: DecisionRow) -> bool:
            return query.wants(row) and call.caller.may_see(row.portfolio)

        page = memory.decisions.page(wanted, before, asked.limit)
        following = None if page.next_before is None else format_cursor(page.next_before)
        return Reply(DecisionsAnswer(decisions=[_line(row) for row in page.rows], next=following))

    async def decision(call: Call) -> Reply:
        decision_id = call.path["decision_id"].lower()
        if not is_decision_id(decision_id):
            raise wrong("BAD_ID", "decision_id", decision_id, "a UUID")
        return Reply(await event_of(memory, log, decision_id, call.caller))

    return Bound(DECISIONS, decisions), Bound(DECISION, decision)


async def event_of(memory: RunMemory, log: Log, decision_id: str, caller: Caller) -> bytes:
    """Return a decision's bytes, also of one that was answered a moment ago.

    Raises
    ------
    ProblemError
        404 if the log has no such decision that the caller may see, 503 if that cannot be known.
    """
    try:
        if memory.decisions.find(decision_id) is None:
            # Whoever has just been told of it is ahead of this process.
            await log.catch_up()
        place = memory.decisions.find(decision_id)
        if place is None:
            raise unknown_decision(decision_id)
        record = await log.fetch(memory.decisions_topic, *place)
        found = decode_decision(record.value)
    except LogAway as error:
        raise not_ready("BROKER_AWAY", str(error)) from error
    except (LogError, RecordError) as error:
        raise unknown_decision(decision_id) from error
    if found.decision_id != decision_id or not caller.may_see(found.portfolio):
        raise unknown_decision(decision_id)
    return record.value or b""


def unknown_decision(decision_id: str) -> ProblemError:
    """Return the problem of an id that no kept decision of the caller's has."""
    expected = "the id of one of the caller's that is kept; older ones: tradewind audit restore DAY"
    return unknown("UNKNOWN_DECISION", "decision_id", decision_id, expected)


def _line(row: DecisionRow) -> DecisionLine:
    return DecisionLine(
        decision_id=row.decision_id,
        timestamp=row.timestamp,
        portfolio=row.portfolio,
        timeframe=row.timeframe,
        symbol=row.symbol,
        action=row.action,
        quantity=row.quantity,
        price=row.price,
        confidence=row.confidence,
        verdict=row.verdict,
        reasons=list(row.codes),
    )
