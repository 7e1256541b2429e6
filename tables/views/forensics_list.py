"""``GET /api/v1/forensics``: what the audit trail has, how it is explained, and what is signed.

The lines are those of the decisions' list, from SQL alone: what the trail does not have yet is not
in it.
"""

import msgspec

from streams.questions import ForensicsLine, ForensicsPage, OfForensics
from streams.timestamps import LATEST_NS
from tables.archive import time_of
from tables.stores.audit_reader import AuditReader, Seen, Sought
from tables.stores.errors import StoreUnavailable
from tables.views.bodies import asked_ns
from tables.views.database_away import problem_of
from tables.views.decision_index import DecisionIndex
from tables.views.decision_row import DecisionRow, Place, RowKey
from tables.views.decisions import before_of, line_of, query_of
from tables.views.older_decisions import Wanted, older_page
from tables.views.problems import not_ready
from tables.views.query import format_cursor
from tables.views.routes import Bound, Call, Reply, Route

FORENSICS_LIST = Route(
    "GET",
    "/api/v1/forensics",
    "listForensics",
    "The audit trail, the newest first",
    "Every decision of the trail with its row, whether a signed head covers it, and how it was "
    "explained: `none` is not stored, and asking for that decision explains it. Filters can be "
    "combined. A page can have fewer lines than were asked for, and still a `next`.",
    OfForensics,
    ForensicsPage,
    limited="features",
)


def forensics_list_endpoint(index: DecisionIndex, reader: AuditReader | None) -> Bound:
    """Return the endpoint of the list; without a database it is not ready."""

    async def listed(call: Call) -> Reply:
        asked: OfForensics = call.asked
        since_ns = asked_ns("since", asked.since)
        since = None if since_ns is None else time_of(since_ns)
        trail = Sought(since=since, why=asked.why, explained=asked.explained)
        before = _before(index, asked)
        if reader is None:
            raise not_ready("NO_DATABASE", "this process knows no database; DATABASE_URL names one")
        wanted = Wanted(query_of(asked), call.caller, trail)
        try:
            page = await older_page(reader, wanted, before, asked.limit)
            seen = await reader.seen([_place(row) for row in page.rows])
        except StoreUnavailable as error:
            raise problem_of(error) from error
        following = None if page.next_before is None else format_cursor(page.next_before)
        # A row that was archived between the two questions is in neither any more.
        lines = [_line(row, seen[_place(row)]) for row in page.rows if _place(row) in seen]
        return Reply(ForensicsPage(forensics=lines, next=following))

    return Bound(FORENSICS_LIST, listed)


def _before(index: DecisionIndex, asked: OfForensics) -> RowKey:
    """Return the key behind which the page begins.

    The trail is behind the log, which this process follows: no row of it is newer.
    """
    until_ns = asked_ns("until", asked.until) or LATEST_NS
    newest_ns = LATEST_NS if index.newest is None else index.newest.key.close_ns
    # What is of that bar counts, too: its keys have no positive partition.
    newest = RowKey(min(until_ns, newest_ns), 1, 0)
    cursor = before_of(asked.before)
    return newest if cursor is None else min(cursor, newest)


def _place(row: DecisionRow) -> Place:
    return Place(-row.key.minus_partition, -row.key.minus_offset)


def _line(row: DecisionRow, seen: Seen) -> ForensicsLine:
    place = _place(row)
    return ForensicsLine(
        **msgspec.structs.asdict(line_of(row)),
        partition=place.partition,
        offset=place.offset,
        row=seen.row,
        is_signed=seen.is_signed,
        explained=seen.explained,
        why=seen.why,
        is_additive=seen.is_additive,
    )
