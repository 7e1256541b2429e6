"""The rows of a run, as records of JSON: ``sql/TABLE`` is a topic of one partition."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

from tests.chaos.judge.record import Record

TABLES = (
    "epochs",
    "regime_history",
    "weight_decisions",
    "risk_metrics",
    "positions",
    "book_changes",
    "decision_audit",
)
_LIVE = "live"
_BATCH = 1_000


class RowSource:
    """The tables of the schema ``tradewind`` that there are.

    Parameters
    ----------
    url
        Address of the database.
    run
        Name of the run; empty for the live one.
    """

    def __init__(self, url: str, run: str) -> None:
        self._url, self._run = url, run or _LIVE
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'tradewind'"
            ).fetchall()
        self._tables = sorted({name for (name,) in found} & set(TABLES))

    def topics(self) -> dict[str, int]:
        """Return one topic of one partition for each table."""
        return {f"sql/{name}": 1 for name in self._tables}

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """Return a table's rows of the run, in no order; the offset is a number only."""
        query = sql.SQL("SELECT row_to_json(t)::text FROM tradewind.{} AS t WHERE run = %s").format(
            sql.Identifier(topic.removeprefix("sql/"))
        )
        with (
            psycopg.connect(self._url, options="-c TimeZone=UTC") as connection,
            connection.cursor("judge") as cursor,
        ):
            cursor.itersize = _BATCH
            cursor.execute(query, [self._run])
            for n, (row,) in enumerate(cursor):
                yield Record(topic, partition, n, 0, None, row.encode())
