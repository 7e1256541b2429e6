"""Reading the audit trail: one decision, the proof that it is in it, and all rows in order."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from models.specialists.window import LENGTH_BARS
from streams.audit import read_head
from streams.errors import RecordError
from streams.explanation import Explanation
from streams.questions import HowExplained
from streams.records import Decision
from streams.timestamps import parse_ns
from tables.archive import RunKey
from tables.audit_rows import COLUMNS, AuditRow
from tables.explanations import (
    NO_BARS,
    PastBars,
    read_decision,
    read_explanation,
    tells_of_a_bar,
    with_bar,
)
from tables.stores.audit_store import TABLE
from tables.stores.errors import StoreConflict
from tables.stores.head_trees import HeadTrees, Proof, proof_of
from tables.stores.migrations import SCHEMA
from tables.stores.postgres_connection import reading, snapshot
from tables.stores.reading_pool import ReadingPool
from tables.stores.servers.postgres import PostgresServer

_FETCH_ROWS = 1_000
# An hour, then four times as much ..., the last without a beginning: a list needs its newest rows,
# and to sort all that are older would take as long as there is history.
_STRETCHES = (*(timedelta(hours=4**power) for power in range(10)), None)
_SAID_MAX = 100
_OF = "WHERE stack = $1 AND run = $2"
_ALL = ", ".join(COLUMNS)


class Sought(NamedTuple):
    """Which decisions are looked for; None is any."""

    symbol: str | None = None
    action: str | None = None
    approved: bool | None = None
    portfolios: list[str] | None = None
    since: datetime | None = None
    why: str | None = None
    explained: str | None = None


class Seen(NamedTuple):
    """How far forensics is with a row: its place in the chain, and how it was explained.

    Attributes
    ----------
    row : int
    is_signed : bool
        Whether there is a head behind it.
    explained : str
        ``model``, ``controls`` or ``none``.
    why : str or None
    is_additive : bool or None
    """

    row: int
    is_signed: bool
    explained: HowExplained
    why: str | None
    is_additive: bool | None


class AuditReader:
    """The audit trail of one run, for reading.

    Parameters
    ----------
    server, of
        Where the rows are, and whose.
    pooled
        Whether a few connections are shared by all calls, for a process that answers many, which
        closes the reader at its end; otherwise every call makes one of its own.
    """

    def __init__(self, server: PostgresServer, of: RunKey, *, pooled: bool = False) -> None:
        self.server = server
        self.of = of
        self._pool = ReadingPool(server, _prepare) if pooled else None
        self._trees = HeadTrees(of, self._speaking)

    async def close(self) -> None:
        """Let shared connections go."""
        if self._pool is not None:
            await self._pool.close()

    async def ask(self) -> None:
        """Return if the database answers.

        Raises
        ------
        StoreUnavailable
            If it does not.
        """
        async with self._speaking() as connection:
            await connection.execute("SELECT 1")

    async def row(self, decision_id: str) -> AuditRow | None:
        """Return a decision's first row, None if the trail has none (yet, or any more in SQL).

        Raises
        ------
        ValueError
            If the id is no UUID.
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            found = await connection.fetchrow(
                f"SELECT {_ALL} FROM {SCHEMA}.{TABLE} {_OF} AND decision_id = $3 "  # noqa: S608  constants
                "ORDER BY logged_at, log_offset LIMIT 1",
                *self.of,
                UUID(decision_id),
            )
        return None if found is None else AuditRow(*found)

    async def said(self, decision_id: str) -> dict[str, object] | None:
        """Return a decision with all its fields as columns (``tradewind.decision_audit``).

        Raises
        ------
        ValueError, StoreUnavailable
            As for `row`.
        """
        async with self._speaking() as connection:
            found = await connection.fetchrow(
                f"SELECT * FROM {SCHEMA}.decision_audit {_OF} AND decision_id = $3 "  # noqa: S608  constants
                "ORDER BY logged_at, log_offset LIMIT 1",
                *self.of,
                UUID(decision_id),
            )
        return None if found is None else dict(found)

    async def explanation(self, decision_id: str) -> Explanation | None:
        """Return why a decision was made, None if it was not explained (yet): ask on demand then.

        Raises
        ------
        ValueError, StoreUnavailable
            As for `row`.
        """
        async with self._speaking() as connection:
            document = await connection.fetchval(
                f"SELECT document::text FROM {SCHEMA}.explanations {_OF} AND decision_id = $3",  # noqa: S608  constants
                *self.of,
                UUID(decision_id),
            )
        return None if document is None else read_explanation(document)

    async def past(self, row: AuditRow) -> PastBars:
        """Return the last bars of a row's symbol up to its own, as the decisions tell them.

        Rows whose bytes are no decision of this program's tell of none.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        told: dict[datetime | None, Decision] = {}
        async with self._speaking() as connection, snapshot(connection):
            query = (
                f"SELECT bar_close, value FROM {SCHEMA}.{TABLE} {_OF} AND symbol = $3 "  # noqa: S608  constants
                "AND timeframe = $4 AND bar_close <= $5 ORDER BY bar_close DESC"
            )
            about = (row.symbol, row.timeframe, row.bar_close)
            async for each in connection.cursor(query, *self.of, *about, prefetch=LENGTH_BARS):
                decision = _of_a_bar(each["value"])
                if decision is not None:
                    told[each["bar_close"]] = decision
                if len(told) == LENGTH_BARS:
                    break
        past = NO_BARS
        for decision in reversed(told.values()):
            past = with_bar(past, decision)
        return past

    async def proof(self, row: AuditRow) -> Proof | None:
        """Return the proof of a row; None as long as it has no head.

        Raises
        ------
        StoreConflict
            If SQL has something else where its head is expected.
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            document = await connection.fetchval(
                f"SELECT document FROM {SCHEMA}.audit_heads {_OF} AND log_partition = $3 "  # noqa: S608  constants
                "AND last_seq >= $4 ORDER BY last_seq, number LIMIT 1",
                *self.of,
                row.log_partition,
                row.seq,
            )
        if document is None:
            return None
        try:
            head = read_head(document)
        except msgspec.MsgspecError as error:
            raise StoreConflict(
                f"SQL has {document[:_SAID_MAX]!r} where the head of row {row.seq} of partition "
                f"{row.log_partition} is expected: {error}"
            ) from error
        if head.first_seq > row.seq:
            return None
        return proof_of(row, head, await self._trees.of(head))

    async def partitions(self) -> list[int]:
        """Return the partitions that have rows or heads.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            found = await connection.fetch(
                f"SELECT log_partition FROM {SCHEMA}.audit_heads {_OF} UNION "  # noqa: S608  constants
                f"SELECT log_partition FROM {SCHEMA}.{TABLE} {_OF} ORDER BY 1",
                *self.of,
            )
        return [row["log_partition"] for row in found]

    async def rows(self, partition: int, since: datetime | None = None) -> AsyncIterator[AuditRow]:
        """Yield the rows of a partition in order, from a time of Kafka's on.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        later = "" if since is None else "AND logged_at >= $4"
        times = () if since is None else (since,)
        async with self._speaking() as connection, snapshot(connection):
            query = (
                f"SELECT {_ALL} FROM {SCHEMA}.{TABLE} {_OF} AND log_partition = $3 {later} "  # noqa: S608  constants
                "ORDER BY log_offset"
            )
            found = connection.cursor(query, *self.of, partition, *times, prefetch=_FETCH_ROWS)
            async for row in found:
                yield AuditRow(*row)

    async def newest_first(
        self, until: datetime, sought: Sought
    ) -> AsyncGenerator[tuple[datetime, int, int, bytes], None]:
        """Yield decisions by bar, the newest first: bar, partition, offset and value.

        Within a bar they are in the order of their partition and offset.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        query = (
            f"SELECT bar_close, log_partition, log_offset, value FROM {SCHEMA}.{TABLE} AS r {_OF} "  # noqa: S608  constants
            "AND bar_close <= $3 AND ($4::timestamptz IS NULL OR bar_close > $4) "
            "AND ($5::text IS NULL OR symbol = $5) AND ($6::text IS NULL OR action = $6) "
            "AND ($7::boolean IS NULL OR approved = $7) "
            "AND ($8::text[] IS NULL OR portfolio = ANY($8)) "
            "AND ($9::timestamptz IS NULL OR bar_close >= $9) "
            f"AND ($10::text IS NULL OR $10 = ({_explained('why')})) "
            f"AND ($11::text IS NULL OR $11 = coalesce(({_explained('explained')}), 'none')) "
            "ORDER BY bar_close DESC, log_partition, log_offset"
        )
        async with self._speaking() as connection, snapshot(connection):
            for stretch in _STRETCHES:
                since = None if stretch is None else until - stretch
                found = connection.cursor(
                    query, *self.of, until, since, *sought, prefetch=_FETCH_ROWS
                )
                async for row in found:
                    yield row["bar_close"], row["log_partition"], row["log_offset"], row["value"]
                if since is not None:
                    until = since

    async def seen(self, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Seen]:
        """Return how far forensics is with the rows at some partitions and offsets.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            found = await connection.fetch(
                "SELECT log_partition, log_offset, seq, EXISTS ("  # noqa: S608  constants
                f"SELECT FROM {SCHEMA}.audit_heads AS h WHERE h.stack = $1 AND h.run = $2 "
                "AND h.log_partition = r.log_partition AND h.last_seq >= r.seq"
                "), coalesce(e.explained, 'none'), e.why, e.is_additive "
                "FROM unnest($3::int[], $4::bigint[]) AS at (log_partition, log_offset) "
                f"JOIN {SCHEMA}.{TABLE} AS r USING (log_partition, log_offset) "
                f"LEFT JOIN {SCHEMA}.explanations AS e "
                f"USING (stack, run, decision_id, bar_close) {_OF}",
                *self.of,
                [partition for partition, _ in places],
                [offset for _, offset in places],
            )
        return {(partition, offset): Seen(*told) for partition, offset, *told in found}

    async def last_offsets(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the last offset that each partition has, -1 for none.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        """
        async with self._speaking() as connection:
            found = await connection.fetch(
                f"SELECT p, (SELECT max(log_offset) FROM {SCHEMA}.{TABLE} {_OF} "  # noqa: S608  constants
                "AND log_partition = p) AS last FROM unnest($3::int[]) AS p",
                *self.of,
                list(partitions),
            )
        return {row["p"]: -1 if row["last"] is None else row["last"] for row in found}

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[asyncpg.Connection]:
        if self._pool is not None:
            async with self._pool.reading() as connection:
                yield connection
            return
        async with reading(self.server) as connection:
            await _prepare(connection)
            yield connection


def _explained(column: str) -> str:
    """Return the query of a column of a row's explanation."""
    return (
        f"SELECT e.{column} FROM {SCHEMA}.explanations AS e WHERE e.stack = $1 AND e.run = $2 "  # noqa: S608  constants
        "AND e.decision_id = r.decision_id AND e.bar_close = r.bar_close"
    )


def _of_a_bar(value: bytes) -> Decision | None:
    """Return the decision in a row's bytes; None if they are none, or it was not made from a bar.

    The trail keeps whatever names a decision: other fields may be missing, or of another version.
    """
    try:
        decision = read_decision(value)
        parse_ns(decision.timestamp)
    except RecordError:
        return None
    return decision if tells_of_a_bar(decision) else None


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
