"""The list of decisions as one: the newest from memory, those behind them from the trail in SQL.

The seam is a key: of older ones the memory may lack some, so those come from SQL alone. It is
behind by seconds, and the seam by thousands of decisions.
"""

from streams.timestamps import format_ns
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreUnavailable
from tables.views.decision_index import DecisionIndex, RowPage
from tables.views.decision_row import RowKey
from tables.views.older_decisions import Wanted, older_page


class DecisionList:
    """Pages of decisions, the newest first.

    Parameters
    ----------
    index
        What is held in memory.
    reader
        The audit trail; None without a database.
    """

    def __init__(self, index: DecisionIndex, reader: AuditReader | None) -> None:
        self._index = index
        self._reader = reader

    async def page(
        self, wanted: Wanted, before: RowKey | None, n_rows: int
    ) -> tuple[RowPage, str | None]:
        """Return a page, and from when on nothing is missing in the list; None if nothing is.

        Raises
        ------
        StoreUnavailable
            If not even one line is known without the database, and it does not answer in time.
        """
        floor = self._index.floor
        if floor is None:
            return self._index.page(wanted.passes, before, n_rows), None
        if self._reader is None:
            return self._index.page(wanted.passes, before, n_rows), format_ns(floor.close_ns)
        newest = self._index.page(
            lambda row: row.key > floor and wanted.passes(row), before, n_rows
        )
        if len(newest.rows) == n_rows:
            return RowPage(newest.rows, newest.rows[-1].key), None
        seam = floor._replace(minus_offset=floor.minus_offset + 1)
        behind = seam if before is None else min(before, seam)
        try:
            since = await self._missing_since(self._reader, floor)
            older = await older_page(self._reader, wanted, behind, n_rows - len(newest.rows))
        except StoreUnavailable:
            if not newest.rows:
                raise
            # What is known is told; whoever goes on is told then.
            return RowPage(newest.rows, newest.rows[-1].key), None
        return RowPage((*newest.rows, *older.rows), older.next_before), since

    async def _missing_since(self, reader: AuditReader, floor: RowKey) -> str | None:
        """Return the time of the seam if SQL has not got what the memory let go (yet)."""
        forgotten = self._index.forgotten
        there = await reader.last_offsets(forgotten)
        is_whole = all(there[partition] >= last for partition, last in forgotten.items())
        return None if is_whole else format_ns(floor.close_ns)
