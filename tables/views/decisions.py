"""``GET /api/v1/decisions`` and one of them: what was decided, as the run's log has it.

Answered by the process of the pages, which follows the topic; workers know the way there.
"""

from streams.errors import RecordError
from streams.questions import DecisionLine, DecisionsAnswer, OfDecisions
from streams.records import Decision
from tables.stores.audit_reader import AuditReader
from tables.stores.decision_log import LogAway, LogError
from tables.stores.errors import StoreUnavailable
from tables.views.auth import Caller
from tables.views.database_away import problem_of
from tables.views.decision_list import DecisionList
from tables.views.decision_row import (
    DecisionRow,
    RowKey,
    decode_decision,
    is_decision_id,
)
from tables.views.older_decisions import Wanted
from tables.views.problems import ProblemError, not_ready, unknown, wrong
from tables.views.query import DecisionQuery, QueryError, format_cursor, parse_cursor
from tables.views.routes import Bound, Call, Nothing, Reply, Route
from tables.views.run_log import Log
from tables.views.run_memory import RunMemory

_UNKNOWN = "UNKNOWN_DECISION"

DECISIONS = Route(
    "GET",
    "/api/v1/decisions",
    "listDecisions",
    "Decisions, the newest first",
    "Filters can be combined. The newest 5,000 are held in memory; older ones are read from SQL, "
    "503 while it is away. `complete_since` says from when on nothing is missing, if anything is.",
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


def decision_endpoints(
    memory: RunMemory, log: Log, reader: AuditReader | None = None
) -> tuple[Bound, ...]:
    """Return the endpoints about what was decided; without a database the list ends sooner."""
    listed = DecisionList(memory.decisions, reader)

    async def decisions(call: Call) -> Reply:
        asked: OfDecisions = call.asked
        wanted, before = Wanted(query_of(asked), call.caller), before_of(asked.before)
        try:
            page, since = await listed.page(wanted, before, asked.limit)
        except StoreUnavailable as error:
            raise problem_of(error) from error
        following = None if page.next_before is None else format_cursor(page.next_before)
        lines = [line_of(row) for row in page.rows]
        return Reply(DecisionsAnswer(decisions=lines, next=following, complete_since=since))

    async def decision(call: Call) -> Reply:
        decision_id = call.path["decision_id"].lower()
        if not is_decision_id(decision_id):
            raise wrong("BAD_ID", "decision_id", decision_id, "a UUID")
        try:
            return Reply(await event_of(memory, log, decision_id, call.caller))
        except ProblemError as error:
            if error.code != _UNKNOWN or reader is None:
                raise
            return Reply(await _older_event(reader, decision_id, call.caller))

    return Bound(DECISIONS, decisions), Bound(DECISION, decision)


def query_of(asked: OfDecisions) -> DecisionQuery:
    """Return the filters of a request."""
    return DecisionQuery(
        symbol=asked.symbol or "",
        action=asked.action or "",
        verdict=asked.verdict or "",
        reason=asked.reason or "",
        portfolio=asked.portfolio or "",
    )


def before_of(cursor: str | None) -> RowKey | None:
    """Return the key that a page begins behind.

    Raises
    ------
    ProblemError
        422 if the cursor is none.
    """
    if cursor is None:
        return None
    try:
        return parse_cursor("before", cursor)
    except QueryError as error:
        raise wrong("BAD_CURSOR", error.parameter, error.value, error.expected) from error


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


async def _older_event(reader: AuditReader, decision_id: str, caller: Caller) -> bytes:
    """Return a decision's bytes from the trail; it raises as :func:`event_of`."""
    try:
        row = await reader.row(decision_id)
    except StoreUnavailable as error:
        raise problem_of(error) from error
    if row is None or row.value is None or not caller.may_see(row.portfolio or ""):
        raise unknown_decision(decision_id)
    return row.value


def unknown_decision(decision_id: str) -> ProblemError:
    """Return the problem of an id that no kept decision of the caller's has."""
    expected = "the id of one of the caller's that is kept; older ones: tradewind audit restore DAY"
    return unknown(_UNKNOWN, "decision_id", decision_id, expected)


def line_of(row: DecisionRow) -> DecisionLine:
    """Return a line as it is told."""
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
