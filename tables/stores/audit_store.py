"""The writer of the audit trail: rows by binary COPY straight into their table, heads beside them.

No staging table and no ON CONFLICT: whoever writes a partition first asks where its chain ends and
sends only what is behind it, so what is sent is new. If it is not, somebody else writes the same
partition, nothing is written, and the writer asks again (docs/adr/0023).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Self

import asyncpg

from streams.audit import AuditHead, read_head
from tables.archive import RunKey
from tables.audit_chain import Kept, Tip
from tables.audit_rows import COLUMNS, AuditRow
from tables.stores.errors import StoreConflict
from tables.stores.migrations import SCHEMA
from tables.stores.postgres_connection import LastingConnection
from tables.stores.servers.postgres import PostgresServer

log = logging.getLogger("tradewind.audit")

WRITER = "tradewind_audit_writer"
TABLE = "audit_records"


class ChainMoved(StoreConflict):
    """Somebody else wrote the same rows in the meantime; nothing was written.

    Operator action: none, the writer asks anew where the chain ends.
    """


class AuditStore:
    """The audit trail of one run over one connection, which is made anew after it was lost.

    Parameters
    ----------
    server
        Where the database is; its schema is brought up to date at the first use.
    of
        Whose rows they are.
    """

    def __init__(self, server: PostgresServer, of: RunKey) -> None:
        self.of = of
        self.sql = LastingConnection(server, self._prepare)
        self._days: set[date] = set()
        # A partition is opened while the rows of another are on their way.
        self._alone = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sql.drop()

    async def put(self, rows: Sequence[AuditRow], heads: Sequence[AuditHead]) -> None:
        """Write rows and heads in one transaction, durable when this returns.

        Raises
        ------
        ChainMoved
            If any of them is there already.
        StoreUnavailable
            If the server does not answer in time: nothing was written, the same call may be
            repeated.
        StoreConflict
            If the database refuses the rows; repeating will not help.
        """
        days = {row.logged_at.date() for row in rows} - self._days
        said = [
            (*self.of, h.partition, h.number, h.first_seq, h.last_seq, h.canonical().decode())
            for h in heads
        ]
        async with self._speaking() as connection, connection.transaction():
            for day in sorted(days):
                await connection.execute(f"SELECT {SCHEMA}.ensure_audit_day($1)", day)
            if rows:
                await connection.copy_records_to_table(
                    TABLE, schema_name=SCHEMA, records=rows, columns=COLUMNS
                )
            await connection.executemany(
                f"INSERT INTO {SCHEMA}.audit_heads VALUES ($1, $2, $3, $4, $5, $6, $7)",  # noqa: S608  a constant
                said,
            )
        self._days |= days

    async def tip(self, partition: int, known: AuditHead | None = None) -> Tip:
        """Return where the chain of a partition ends.

        Parameters
        ----------
        partition
            Which one.
        known
            The last head that is known elsewhere: SQL may have lost it.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        where = "WHERE stack = $1 AND run = $2 AND log_partition = $3"
        async with self._speaking() as connection:
            document = await connection.fetchval(
                f"SELECT document FROM {SCHEMA}.audit_heads {where} ORDER BY number DESC LIMIT 1",  # noqa: S608  constants
                *self.of,
                partition,
            )
            head = known if document is None else read_head(document)
            if head is not None and known is not None and known.number > head.number:
                head = known
            rows = await connection.fetch(
                f"SELECT log_offset, seq, chain FROM {SCHEMA}.{TABLE} {where} AND log_offset >= $4",  # noqa: S608  constants
                *self.of,
                partition,
                Tip(head).next_offset,
            )
        return Tip(head, {row["log_offset"]: Kept(row["seq"], row["chain"]) for row in rows})

    async def heads_after(self, partition: int, number: int) -> list[AuditHead]:
        """Return the heads of a partition behind one, in order.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            rows = await connection.fetch(
                f"SELECT document FROM {SCHEMA}.audit_heads WHERE stack = $1 AND run = $2 "  # noqa: S608  a constant
                "AND log_partition = $3 AND number > $4 ORDER BY number",
                *self.of,
                partition,
                number,
            )
        return [read_head(row["document"]) for row in rows]

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the connection; rows that are there already mean that somebody else writes them."""
        try:
            async with self._alone, self.sql.speaking() as connection:
                yield connection
        except StoreConflict as error:
            if isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise ChainMoved(f"the audit trail has these rows already: {error}") from error
            raise

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        self._days = set()
        await _give_up_rights(connection)


async def _give_up_rights(connection: asyncpg.Connection) -> None:
    """Go on as the role that may add rows and read them, and neither change nor delete any."""
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", WRITER)
    if exists:
        await connection.execute(f"SET ROLE {WRITER}")
    else:
        log.warning(
            "the server has no role %s, because the login that made the schema may make none: the "
            "audit trail is written with all the rights of %s. Let an administrator make the role",
            WRITER,
            await connection.fetchval("SELECT current_user"),
        )
