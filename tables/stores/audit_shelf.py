"""The shelf: days of the audit trail as Parquet files, taken out of SQL when they are a week old.

A file is written beside its place, read back, compared with SQL, and only then SQL lets the day go.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.brokers.homes import private_folder
from tables.archive import RunKey
from tables.audit_rows import COLUMNS, AuditRow
from tables.stores.audit_key import audit_folder
from tables.stores.audit_store import TABLE
from tables.stores.errors import ShelfBusy, StoreConflict
from tables.stores.migrations import SCHEMA
from tables.stores.postgres_connection import reading
from tables.stores.servers.postgres import PostgresServer

HOT_DAYS = 7
KEPT_YEARS = 7

_GROUP_ROWS = 10_000
_DAYS_PER_YEAR = 365.25

_TIME = pa.timestamp("us", "UTC")
_FORM = pa.schema(
    [
        ("stack", pa.utf8()),
        ("run", pa.utf8()),
        ("log_partition", pa.int32()),
        ("log_offset", pa.int64()),
        ("seq", pa.int64()),
        ("logged_at", _TIME),
        ("record_key", pa.binary()),
        ("headers", pa.utf8()),
        ("value", pa.binary()),
        ("chain", pa.binary(32)),
        ("decision_id", pa.utf8()),
        ("portfolio", pa.utf8()),
        ("symbol", pa.utf8()),
        ("timeframe", pa.utf8()),
        ("bar_close", _TIME),
        ("action", pa.utf8()),
        ("quantity", pa.float64()),
        ("approved", pa.bool_()),
    ]
)
# Columns of a row's key, and characters of a day in a file's name.
_KEY = 4
_DAY = 10


class Shelved(NamedTuple):
    """A day on the shelf."""

    day: date
    path: Path
    n_rows: int


class AuditShelf:
    """The shelf of a stack.

    Parameters
    ----------
    home
        The stack's folder.
    """

    def __init__(self, home: Path) -> None:
        self.folder = audit_folder(home) / "shelf"

    def files(self, day: date | None = None) -> list[Path]:
        """Return the files in order of time, all or those of a day."""
        found = sorted((path.stem[:_DAY], int(path.stem[_DAY + 1 :]), path) for path in self._all())
        return [path for text, _, path in found if day is None or text == day.isoformat()]

    def _all(self) -> Iterator[Path]:
        return self.folder.glob("????-??-??-*.parquet")

    def rows(self, of: RunKey, partition: int) -> Iterator[AuditRow]:
        """Yield the rows of a run's partition that are on the shelf, in order.

        Raises
        ------
        StoreConflict
            If a file cannot be read.
        """
        wanted = (
            (pc.field("stack") == of.stack)
            & (pc.field("run") == of.run)
            & (pc.field("log_partition") == partition)
        )
        for path in self.files():
            for batch in _batches(path):
                yield from _audit_rows(batch.filter(wanted))

    def expired(self, today: date) -> list[Path]:
        """Return the files that have been kept for seven years."""
        oldest = today - timedelta(days=round(KEPT_YEARS * _DAYS_PER_YEAR))
        return [path for path in self.files() if date.fromisoformat(path.stem[:_DAY]) < oldest]

    async def shelve(
        self, server: PostgresServer, stack: str, today: date
    ) -> AsyncIterator[Shelved]:
        """Take every day out of SQL that ended a week ago; yield each when it is on the shelf.

        A day that cannot go stays, and those behind it go all the same.

        Raises
        ------
        ShelfBusy
            If another process is at it, on whatever machine.
        StoreConflict
            If a day has rows without a head: the role forensics seals them when it runs.
        StoreUnavailable
            If the server does not answer.
        """
        async with reading(server, answer_s=None) as connection:
            # Held for as long as the connection is.
            if not await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtext('tradewind.shelve'), hashtext($1))", stack
            ):
                raise ShelfBusy(f"another process takes days of stack {stack} to the shelf")
            found = await connection.fetch(
                "SELECT DISTINCT (logged_at AT TIME ZONE 'UTC')::date AS day "  # noqa: S608  constants
                f"FROM {SCHEMA}.{TABLE} WHERE stack = $1 AND logged_at < $2 ORDER BY day",
                stack,
                _midnight(today - timedelta(days=HOT_DAYS)),
            )
            faults = []
            for row in found:
                try:
                    yield await self._shelve(connection, stack, row["day"])
                except OSError as error:
                    if isinstance(error, ConnectionError | TimeoutError):
                        raise
                    raise StoreConflict(
                        f"{row['day'].isoformat()} stays in SQL: {error}; {self.folder} must be "
                        "writable and have room for it"
                    ) from error
                except StoreConflict as error:
                    faults.append(f"{row['day'].isoformat()} stays in SQL: {error}")
            if faults:
                raise StoreConflict("\n".join(faults))

    async def _shelve(self, connection: asyncpg.Connection, stack: str, day: date) -> Shelved:
        between = (stack, _midnight(day), _midnight(day + timedelta(days=1)))
        await _check_sealed(connection, *between)
        there = self._keys(day)
        path = private_folder(self.folder) / f"{day.isoformat()}-{len(self.files(day)) + 1}.parquet"
        draft = path.with_suffix(".partial")
        try:
            n_rows = await _copy(connection, draft, between, there)
            if n_rows:
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        await connection.execute(f"SELECT {SCHEMA}.drop_audit_day($1, $2)", stack, day)
        return Shelved(day, path if n_rows else self.files(day)[-1], n_rows)

    def _keys(self, day: date) -> set[tuple[object, ...]]:
        return {
            key
            for path in self.files(day)
            for batch in _batches(path, COLUMNS[:_KEY])
            for key in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        }

    async def restore(self, server: PostgresServer, day: date) -> int:
        """Put a day back into SQL, where rows that are there stay; return how many were missing.

        Raises
        ------
        StoreConflict
            If the day is not on the shelf.
        StoreUnavailable
            If the server does not answer.
        """
        files = self.files(day)
        if not files:
            told = ", ".join(path.stem[:_DAY] for path in self.files()) or "none"
            raise StoreConflict(f"{day.isoformat()} is not in {self.folder}; there are: {told}")
        target = f"{SCHEMA}.{TABLE}"
        async with reading(server, answer_s=None) as connection, connection.transaction():
            await connection.execute(f"SELECT {SCHEMA}.ensure_audit_day($1)", day)
            await connection.execute(f"CREATE TEMP TABLE restored (LIKE {target}) ON COMMIT DROP")
            for batch in (batch for path in files for batch in _batches(path)):
                rows = list(_audit_rows(batch))
                await connection.copy_records_to_table("restored", records=rows, columns=COLUMNS)
            done = await connection.execute(
                f"INSERT INTO {target} SELECT * FROM restored ON CONFLICT DO NOTHING"  # noqa: S608  a constant
            )
        return int(done.rpartition(" ")[2])


async def _copy(
    connection: asyncpg.Connection,
    draft: Path,
    between: tuple[str, datetime, datetime],
    there: set[tuple[object, ...]],
) -> int:
    """Write the rows of a day that are not on the shelf yet, and read them back."""
    digest, n_rows = hashlib.sha256(), 0
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = await connection.cursor(
            f"SELECT {', '.join(COLUMNS)} FROM {SCHEMA}.{TABLE} WHERE stack = $1 AND "  # noqa: S608  constants
            "logged_at >= $2 AND logged_at < $3 ORDER BY run, log_partition, log_offset",
            *between,
        )
        with pq.ParquetWriter(draft, _FORM, compression="zstd") as writer:
            while found := await cursor.fetch(_GROUP_ROWS):
                # What was restored is on the shelf already.
                rows = [AuditRow(*row) for row in found if tuple(row)[:_KEY] not in there]
                for row in rows:
                    digest.update(row.chain)
                n_rows += len(rows)
                writer.write_table(_table(rows))
    _compare(draft, digest.hexdigest(), n_rows)
    return n_rows


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def _check_sealed(
    connection: asyncpg.Connection, stack: str, begins: datetime, ends: datetime
) -> None:
    open_rows = await connection.fetch(
        f"SELECT run, log_partition, max(seq) AS seq FROM {SCHEMA}.{TABLE} AS rows "  # noqa: S608  constants
        "WHERE stack = $1 AND logged_at >= $2 AND logged_at < $3 GROUP BY run, log_partition "
        f"HAVING max(seq) > coalesce((SELECT max(last_seq) FROM {SCHEMA}.audit_heads AS heads "
        "WHERE heads.stack = $1 AND heads.run = rows.run "
        "AND heads.log_partition = rows.log_partition), -1)",
        stack,
        begins,
        ends,
    )
    for row in open_rows:
        raise StoreConflict(
            f"run {row['run']}, partition {row['log_partition']} has rows up to {row['seq']} "
            "without a head: start the role forensics, which seals them, then try again"
        )


def _table(rows: Sequence[AuditRow]) -> pa.Table:
    columns = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    columns["decision_id"] = [None if id_ is None else str(id_) for id_ in columns["decision_id"]]
    return pa.table(columns, schema=_FORM)


def _batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_GROUP_ROWS, columns=columns):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreConflict(f"{path} cannot be read: {error}; restore it from a copy") from error


def _audit_rows(table: pa.Table) -> Iterator[AuditRow]:
    for values in zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True):
        row = AuditRow(*values)
        yield (
            row if row.decision_id is None else row._replace(decision_id=UUID(str(row.decision_id)))
        )


def _compare(draft: Path, sha256: str, n_rows: int) -> None:
    """Read the file back before SQL lets go of the rows."""
    links = pq.read_table(draft, columns=["chain"]).column("chain").to_pylist()
    if len(links) != n_rows or hashlib.sha256(b"".join(links)).hexdigest() != sha256:
        raise StoreConflict(f"{draft} does not hold what SQL has; nothing was taken out")
