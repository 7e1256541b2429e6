"""MLflow's tables in PostgreSQL: what they are, what is in them, and how a whole store comes in.

Everything is built in a schema beside the one that is in use, which changes in one transaction
when all is there. Nobody ever sees a store that is half there.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.servers.postgres import without_password
from tables.stores.tracking.revisions import bring_up_to_date
from tables.stores.tracking.rows import Column, Kind, Row, Table

Connection = psycopg.Connection[TupleRow]

_CONNECT_S = 5
_LOCK_MS = 10_000
_READ_ROWS = 5_000

# Any number will do, as long as all who move a store use the same.
_ALONE = 7_205_759_403_792_811

_MARKS = "tradewind_migration"
_VERSION = "alembic_version"
# What a server of MLflow writes by itself, whatever anybody tracks.
_HOUSEKEEPING = frozenset({_VERSION, _MARKS, "job_locks", "scheduler_leases"})
_SEEDED = {
    "experiments": "experiment_id = 0 AND name = 'Default'",
    "workspaces": "name = 'default'",
}

_KINDS: dict[str, Kind] = {
    "bigint": "integer",
    "boolean": "boolean",
    "bytea": "bytes",
    "character varying": "text",
    "date": "text",
    "double precision": "float",
    "integer": "integer",
    "json": "json",
    "jsonb": "json",
    "real": "float",
    "smallint": "integer",
    "text": "text",
}
_BITS = {"bigint": 64, "integer": 32, "smallint": 16}
# What the driver would make objects of.
_AS_TEXT = frozenset({"date", "json", "jsonb"})


def plain(uri: str) -> str:
    """Return SQLAlchemy's address of a database as libpq knows it.

    Examples
    --------
    >>> plain("postgresql+psycopg://me@db/x"), plain("postgres://me@db/x")
    ('postgresql://me@db/x', 'postgresql://me@db/x')
    """
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", uri)


def within(uri: str, schema: str) -> str:
    """Return the address of another schema of a database, for MLflow."""
    from sqlalchemy import make_url  # noqa: PLC0415  comes with MLflow

    address = make_url(uri.replace("postgres://", "postgresql://", 1))
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    moved = address.update_query_dict({"options": f"-csearch_path={schema}"})
    return moved.render_as_string(hide_password=False)


@contextlib.contextmanager
def connected(uri: str) -> Iterator[Connection]:
    """Connect to a database of MLflow's, and turn what it raises into errors of the store.

    Raises
    ------
    StoreUnavailable
        If the address is none of PostgreSQL, or it does not answer or do what it was asked.
    """
    spoken = without_password(uri)
    if not uri.startswith(("postgresql", "postgres:")):
        raise StoreUnavailable(
            f"MLflow is at {spoken}, which is no PostgreSQL database: set MLFLOW_TRACKING_URI to "
            "the database behind that server, or unset it for the stack's own"
        )
    try:
        with psycopg.connect(plain(uri), connect_timeout=_CONNECT_S, autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise StoreUnavailable(f"PostgreSQL at {spoken} did not do it: {error}") from error


@contextlib.contextmanager
def connected_alone(uri: str) -> Iterator[Connection]:
    """Connect, and keep others from moving a store or letting runs go here meanwhile.

    Raises
    ------
    StoreConflict
        If somebody does.
    StoreUnavailable
        As for `connected`.
    """
    with connected(uri) as connection:
        # Held by the connection: it goes with a process that is killed.
        if not _one(connection, "SELECT pg_try_advisory_lock(%s)", _ALONE):
            raise StoreConflict(
                "a migration or retention works in this database: wait for it, or end it"
            )
        yield connection


def current_schema(connection: Connection) -> str:
    """Return the schema that the address leads to."""
    return str(_one(connection, "SELECT current_schema()") or "public")


def revision_of(connection: Connection, schema: str) -> str:
    """Return the revision of MLflow's tables in a schema; empty without any."""
    if not exists(connection, schema, _VERSION):
        return ""
    return str(_one(connection, _named("SELECT version_num FROM {}", schema, _VERSION)) or "")


def exists(connection: Connection, schema: str, table: str) -> bool:
    """Return whether a schema has a table."""
    asked = "SELECT to_regclass(format('%%I.%%I', %s::text, %s::text)) IS NOT NULL"
    return bool(_one(connection, asked, schema, table))


def make_empty(connection: Connection, uri: str, schema: str) -> None:
    """Make a schema with MLflow's tables and no row in them; one that was there goes."""
    drop(connection, schema)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    bring_up_to_date(within(uri, schema))
    for table in _table_names(connection, schema):
        if table != _VERSION:
            connection.execute(_named("TRUNCATE {} CASCADE", schema, table))
    connection.execute(
        _named("CREATE TABLE {} (name text PRIMARY KEY, last bigint NOT NULL)", schema, _MARKS)
    )


def drop(connection: Connection, schema: str) -> None:
    """Let a schema go with all that is in it."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def is_under_way(connection: Connection, schema: str) -> bool:
    """Return whether a store is coming in."""
    return exists(connection, schema, _MARKS)


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Let everything that is read be of one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def tables_of(connection: Connection, schema: str) -> tuple[Table, ...]:
    """Return MLflow's tables of a schema, each behind those that it refers to."""
    columns: dict[str, list[Column]] = {}
    asked = (
        "SELECT table_name, column_name, data_type, character_maximum_length "
        "FROM information_schema.columns "
        "WHERE table_schema = %s AND is_generated = 'NEVER' ORDER BY 1, column_name COLLATE \"C\""
    )
    for table, name, kind, length in connection.execute(asked, (schema,)):
        if kind not in _KINDS:
            raise StoreConflict(f"column {name} of {table} is {kind}: expected one of {_KINDS}")
        column = Column(name, _KINDS[kind], _BITS.get(kind, length))
        columns.setdefault(table, []).append(column)
    order = TopologicalSorter({table: set[str]() for table in columns})
    referring = (
        "SELECT c.relname, p.relname FROM pg_constraint "
        "JOIN pg_class c ON c.oid = conrelid JOIN pg_class p ON p.oid = confrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE contype = 'f' AND n.nspname = %s"
    )
    for child, parent in connection.execute(referring, (schema,)):
        if child != parent:
            order.add(child, parent)
    return tuple(
        Table(name, tuple(columns[name]))
        for name in order.static_order()
        if name not in {_VERSION, _MARKS}
    )


def what_is_there(connection: Connection, schema: str) -> dict[str, int]:
    """Return rows by table, without what every new store of MLflow has."""
    found = {}
    for name in sorted(set(_table_names(connection, schema)) - _HOUSEKEEPING):
        seeded = sql.SQL(_SEEDED.get(name, "false"))
        asked = sql.SQL("SELECT count(*) FROM {} WHERE NOT ({})").format(
            sql.Identifier(schema, name), seeded
        )
        rows = int(_one(connection, asked))
        if rows:
            found[name] = rows
    return found


def last_of(connection: Connection, schema: str) -> dict[str, int]:
    """Return by table the row id of the source behind which a migration goes on."""
    asked = _named("SELECT name, last FROM {}", schema, _MARKS)
    return {str(name): int(last) for name, last in connection.execute(asked)}


def put(connection: Connection, schema: str, table: Table, rows: Iterable[Row], last: int) -> None:
    """Add rows to a table, and remember the row id of the last, in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        copied = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(schema, table.name), _columns(table)
        )
        with cursor.copy(copied) as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            _named(
                "INSERT INTO {} VALUES (%s, %s) "
                "ON CONFLICT (name) DO UPDATE SET last = excluded.last",
                schema,
                _MARKS,
            ),
            (table.name, last),
        )


def rows_of(connection: Connection, schema: str, table: Table) -> Iterator[Row]:
    """Give the canonical rows of a table; inside a transaction of the caller's."""
    asked = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(each.name))
            if each.kind in {"json", "text"}
            else sql.Identifier(each.name)
            for each in table.columns
        ),
        sql.Identifier(schema, table.name),
    )
    with connection.cursor(name="tradewind_rows") as cursor:
        cursor.itersize = _READ_ROWS
        for row in cursor.execute(asked):
            yield table.canonical(row)


def set_sequences(connection: Connection, schema: str) -> int:
    """Let every sequence go on behind the highest number that is in use; return how many."""
    asked = (
        "SELECT table_name, column_name, pg_get_serial_sequence("
        "format('%%I.%%I', table_schema, table_name), column_name) "
        "FROM information_schema.columns WHERE table_schema = %s"
    )
    owned = [row for row in connection.execute(asked, (schema,)) if row[2] is not None]
    for table, column, sequence in owned:
        highest = sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}").format(
            sql.Identifier(column), sql.Identifier(schema, table)
        )
        connection.execute(highest, (sequence,))
    return len(owned)


def switch(connection: Connection, incoming: str, schema: str) -> None:
    """Put the tables of one schema in place of another's, which must be as good as empty.

    Raises
    ------
    StoreConflict
        If there is something in them; nothing has changed then.
    """
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_MS))
        there = [t for t in _table_names(connection, incoming) if exists(connection, schema, t)]
        for table in there:
            connection.execute(_named("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", schema, table))
        check_empty(connection, schema)
        for table in there:
            connection.execute(_named("DROP TABLE {} CASCADE", schema, table))
        connection.execute(_named("DROP TABLE {}", incoming, _MARKS))
        for table in _table_names(connection, incoming):
            moved = sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                sql.Identifier(incoming, table), sql.Identifier(schema)
            )
            connection.execute(moved)
        _move_functions(connection, incoming, schema)
        connection.execute(sql.SQL("DROP SCHEMA {} RESTRICT").format(sql.Identifier(incoming)))


def check_empty(connection: Connection, schema: str) -> None:
    """Check that nobody has tracked anything in a schema.

    Raises
    ------
    StoreConflict
        Naming what is there.
    """
    there = what_is_there(connection, schema)
    if there:
        named = ", ".join(f"{rows:,} rows of {name}" for name, rows in there.items())
        raise StoreConflict(
            f"the store is not empty: schema {schema} has {named}; expected none, because ids "
            "would meet. `tradewind mlflow export` keeps it in a file; then take a new stack "
            "(--name) or another database"
        )


def _move_functions(connection: Connection, incoming: str, schema: str) -> None:
    """Move what triggers call; the triggers themselves go with their tables."""
    asked = (
        "SELECT proname, pg_get_function_identity_arguments(p.oid) FROM pg_proc p "
        "JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = %s"
    )
    for name, arguments in connection.execute(asked, (incoming,)).fetchall():
        for text in ("DROP FUNCTION IF EXISTS {old}", "ALTER FUNCTION {new} SET SCHEMA {schema}"):
            named = {
                word: sql.SQL("{}({})").format(sql.Identifier(where, name), sql.SQL(arguments))
                for word, where in (("old", schema), ("new", incoming))
            }
            connection.execute(sql.SQL(text).format(**named, schema=sql.Identifier(schema)))


def _table_names(connection: Connection, schema: str) -> list[str]:
    """Return the names of a schema's tables that are MLflow's or ours, sorted."""
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1"
    return [str(row[0]) for row in connection.execute(asked, (schema,))]


def _columns(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.names))


def _named(text: Any, schema: str, table: str) -> sql.Composed:  # noqa: ANN401  a literal string
    return sql.SQL(text).format(sql.Identifier(schema, table))


def _one(connection: Connection, asked: Any, *given: Any) -> Any:  # noqa: ANN401  any value
    row = connection.execute(asked, given or None).fetchone()
    return None if row is None else row[0]
