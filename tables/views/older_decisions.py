"""The list of decisions behind what the process of the pages holds: from the audit trail in SQL.

Lines are made of the same bytes by the same functions, so a line does not tell where it is from.
"""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from streams.errors import RecordError
from tables.stores.audit_reader import AuditReader, Sought
from tables.stores.decision_log import LogRecord
from tables.views.auth import Caller
from tables.views.decision_index import RowPage
from tables.views.decision_row import DecisionRow, RowKey, decode_decision, row_of
from tables.views.query import DecisionQuery
from tables.views.sessions import sees_all

# Of a filter that few pass, one request looks at as many: 15 MB of values, a second.
MOST_READ = 5_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


class Wanted(NamedTuple):
    """What is asked for, and by whom; what only the trail can tell is asked of it alone."""

    query: DecisionQuery
    caller: Caller
    trail: Sought = Sought()

    def passes(self, row: DecisionRow) -> bool:
        """Tell whether a line is wanted."""
        return self.query.wants(row) and self.caller.may_see(row.portfolio)

    def sought(self) -> Sought:
        """Return what SQL can tell of it: no line less than those that pass."""
        query = self.query
        portfolios = None if sees_all(self.caller) else list(self.caller.portfolios)
        if query.portfolio:
            portfolios = [query.portfolio]
        approved = query.verdict != "refused" if query.verdict else None
        return self.trail._replace(
            symbol=query.symbol or None,
            action=query.action or None,
            approved=approved,
            portfolios=portfolios,
        )


async def older_page(reader: AuditReader, wanted: Wanted, before: RowKey, n_rows: int) -> RowPage:
    """Return the newest ``n_rows`` wanted lines of the trail whose key is below ``before``.

    The page is shorter, and goes on, if that took too many rows to look at.

    Raises
    ------
    StoreUnavailable
        If the database does not answer in time.
    """
    # SQL has a bar to the microsecond: those of one are put into order here.
    until = _EPOCH + timedelta(microseconds=-(-before.close_ns // _NS_PER_US))
    rows: list[DecisionRow] = []
    group: list[DecisionRow] = []
    at: datetime | None = None
    n_read = 0
    async with aclosing(reader.newest_first(until, wanted.sought())) as found:
        async for bar_close, partition, offset, value in found:
            if bar_close != at:
                rows += _of_bar(group, before, wanted)
                if len(rows) > n_rows:
                    break
                lowest = min((row.key for row in group), default=before)
                if n_read >= MOST_READ and lowest < before:
                    return RowPage(tuple(rows), lowest)
                at, group = bar_close, []
            n_read += 1
            group += _line_of(partition, offset, value)
        else:
            rows += _of_bar(group, before, wanted)
    if len(rows) > n_rows:
        return RowPage(tuple(rows[:n_rows]), rows[n_rows - 1].key)
    return RowPage(tuple(rows), None)


def _line_of(partition: int, offset: int, value: bytes) -> list[DecisionRow]:
    try:
        decision = decode_decision(value)
        return [row_of(decision, LogRecord("", partition, offset, 0, None, value, []))]
    except RecordError:
        # The pages count those that cannot be read; they are in no list.
        return []


def _of_bar(group: list[DecisionRow], before: RowKey, wanted: Wanted) -> list[DecisionRow]:
    """Return the lines of a bar, each decision once, at the place where it stood first."""
    firsts = {row.decision_id: row for row in sorted(group, key=lambda row: row.key)}
    kept = sorted(firsts.values(), key=lambda row: row.key, reverse=True)
    return [row for row in kept if row.key < before and wanted.passes(row)]
