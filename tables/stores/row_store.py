"""The SQL store of rows: binary COPY into a staging table, then an insert of what is new."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Self

import asyncpg

from tables.archive import Rows, TableSpec
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.migrations import SCHEMA, migrate
from tables.stores.servers.postgres import PostgresServer

_CONNECT_S = 5.0
# A batch takes milliseconds; a table that is locked for longer is a store that is away.
_PUT_S = 30.0

# What says that the rows are bad: data that the columns do not take (SQLSTATE class 22), checks and
# keys that they break (23), and numbers that the driver cannot encode. All else is the store's own
# trouble, a missing role or a standby as much as a lost connection: rows wait for it.
_BAD_ROWS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    OverflowError,
    ValueError,
)
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class RowStore:
    """Rows of one database over one connection, which is made anew after it was lost.

    Parameters
    ----------
    server
        Where the database is; its schema is brought up to date at the first use.
    """

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._connection: asyncpg.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def put(self, batches: Iterable[Rows]) -> dict[str, int]:
        """Write all rows in one transaction, durable when this returns; count the new ones.

        A row whose key is there already stays as it was.

        Returns
        -------
        dict
            Table name -> rows that were new.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time: nothing was written, the same call may be
            repeated.
        StoreConflict
            If the database refuses the rows; repeating will not help.
        """
        new: dict[str, int] = {}
        async with self._speaking() as connection, connection.transaction():
            for rows in batches:
                if rows.values:
                    n_new = await _insert(connection, rows)
                    new[rows.table.name] = new.get(rows.table.name, 0) + n_new
        return new

    async def count(self, table: TableSpec, run: str) -> int:
        """Return how many rows of a run a table has.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            found = await connection.fetchval(
                f"SELECT count(*) FROM {SCHEMA}.{table.name} WHERE run = $1",  # noqa: S608  our own names
                run,
            )
        return int(found)

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the connection; what breaks on it becomes an error of the store."""
        try:
            if self._connection is None:
                self._connection = await self._connected()
            yield self._connection
        except _BAD_ROWS as error:
            raise StoreConflict(f"PostgreSQL refused rows: {error}") from error
        except _AWAY as error:
            await self._drop()
            raise StoreUnavailable(
                f"PostgreSQL at {self.server.spoken} did not do it: {error!r}"
            ) from error

    async def _connected(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self.server.url, timeout=_CONNECT_S, command_timeout=_PUT_S
        )
        try:
            await migrate(connection)
        except StoreConflict as error:
            connection.terminate()
            # The rows are not to blame: they wait until somebody has looked at the schema.
            raise StoreUnavailable(str(error)) from error
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()


async def _insert(connection: asyncpg.Connection, rows: Rows) -> int:
    table, staging = f"{SCHEMA}.{rows.table.name}", f"staging_{rows.table.name}"
    columns = ", ".join(rows.table.columns)
    if rows.table.by_time:
        at = rows.table.columns.index("bar_close")
        for year in sorted({values[at].year for values in rows.values}):
            await connection.execute(
                f"SELECT {SCHEMA}.ensure_year($1, $2)",
                rows.table.name,
                year,
            )
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS"
    )
    await connection.copy_records_to_table(staging, records=rows.values, columns=rows.table.columns)
    done = await connection.execute(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} ON CONFLICT DO NOTHING"  # noqa: S608  our own names
    )
    return int(done.rpartition(" ")[2])
