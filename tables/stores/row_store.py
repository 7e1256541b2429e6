"""The SQL store of rows: binary COPY into a staging table, then an insert of what is new."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import asyncpg

from streams.failpoints import reach
from tables.archive import Rows, RunKey, TableSpec
from tables.stores.migrations import SCHEMA
from tables.stores.postgres_connection import LastingConnection
from tables.stores.servers.postgres import PostgresServer


class Conflict(NamedTuple):
    """Rows of a batch whose keys are there with other values, and the first such key."""

    batch: int
    table: TableSpec
    n_rows: int
    key: tuple[Any, ...]

    def __str__(self) -> str:
        said = ", ".join(
            f"{name} {value}" for name, value in zip(self.table.key, self.key, strict=True)
        )
        return f"{self.n_rows} rows of {self.table.name} are there with other values, first {said}"


class Written(NamedTuple):
    """What became of rows: how many were new, by table, and which contradict what is there."""

    new: dict[str, int]
    conflicts: list[Conflict]


class RowStore:
    """Rows of one database over one connection, which is made anew after it was lost.

    Parameters
    ----------
    server
        Where the database is; its schema is brought up to date at the first use.
    """

    def __init__(self, server: PostgresServer) -> None:
        self.sql = LastingConnection(server)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.sql.drop()

    async def put(self, batches: Sequence[Rows]) -> Written:
        """Write all rows in one transaction, durable when this returns.

        A row whose key is there already stays as it was; if it has other values, the batch that
        brought them is named.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time: nothing was written, the same call may be
            repeated.
        StoreConflict
            If the database refuses the rows; repeating will not help.
        """
        by_table: dict[TableSpec, list[tuple[Any, ...]]] = {}
        for number, rows in enumerate(batches):
            numbered = [(number, *values) for values in rows.values]
            by_table.setdefault(rows.table, []).extend(numbered)
        written = Written({}, [])
        async with self.sql.speaking() as connection, connection.transaction():
            for table, records in by_table.items():
                if records:
                    written.new[table.name] = await _insert(connection, table, records)
                    if written.new[table.name] < len(records):
                        written.conflicts.extend(await _conflicts(connection, table))
        return written

    async def count(self, table: TableSpec, of: RunKey) -> int:
        """Return how many rows of a run a table has.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self.sql.speaking() as connection:
            found = await connection.fetchval(
                f"SELECT count(*) FROM {SCHEMA}.{table.name} WHERE stack = $1 AND run = $2",  # noqa: S608  our own names
                *of,
            )
        return int(found)


async def _insert(
    connection: asyncpg.Connection, table: TableSpec, records: list[tuple[Any, ...]]
) -> int:
    """Copy rows, each behind the number of its batch, and insert what is new; count that."""
    target, staging = f"{SCHEMA}.{table.name}", _staging(table)
    columns = ", ".join(table.columns)
    if table.by_time:
        at = 1 + table.columns.index("bar_close")
        for year in sorted({record[at].year for record in records}):
            await connection.execute(f"SELECT {SCHEMA}.ensure_year($1, $2)", table.name, year)
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} (batch integer, LIKE {target}) "
        "ON COMMIT DELETE ROWS"
    )
    await connection.copy_records_to_table(
        staging, records=records, columns=("batch", *table.columns)
    )
    reach("archive", "in-copy")
    done = await connection.execute(
        f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {staging} ORDER BY batch "  # noqa: S608  our own names
        "ON CONFLICT DO NOTHING"
    )
    return int(done.rpartition(" ")[2])


async def _conflicts(connection: asyncpg.Connection, table: TableSpec) -> list[Conflict]:
    """Compare what was copied with what is there; what was inserted is equal to itself."""
    keys = ", ".join(table.key)
    compared = [name for name in table.values if name not in table.may_differ]
    if not compared:
        return []
    copied, kept = (", ".join(f"{side}.{name}" for name in compared) for side in ("new", "old"))
    found = await connection.fetch(
        "SELECT DISTINCT ON (batch) batch, count(*) OVER (PARTITION BY batch) AS n_rows, "  # noqa: S608  our own names
        f"{keys} FROM {_staging(table)} AS new JOIN {SCHEMA}.{table.name} AS old USING ({keys}) "
        f"WHERE ROW({copied}) IS DISTINCT FROM ROW({kept}) ORDER BY batch, {keys}"
    )
    return [
        Conflict(row["batch"], table, row["n_rows"], tuple(row[name] for name in table.key))
        for row in found
    ]


def _staging(table: TableSpec) -> str:
    return f"staging_{table.name}"
