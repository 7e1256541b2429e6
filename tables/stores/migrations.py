"""The schema of the SQL store: numbered files, forward and back, each in its own transaction.

``NNNN_name.up.sql`` makes a step and ``NNNN_name.down.sql`` undoes it. What was applied is kept
with the SHA-256 of its file, so a file that was changed afterwards is noticed. Of the libraries for
plain SQL files, yoyo 9.0 on psycopg 3 did not find again what it had applied.
"""

import hashlib
from importlib import resources
from typing import NamedTuple

import asyncpg

from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.servers.postgres import PostgresServer

SCHEMA = "tradewind"

# Any number will do, as long as all who migrate use the same.
_LOCK = 7_205_759_403_792_795

_CONNECT_S = 5.0
# Of one statement; a table of years is changed in far less.
_COMMAND_S = 120.0

_KEPT = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.migrations (
    name text PRIMARY KEY,
    sha256 char(64) NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    """One step of the schema: its name, and the SQL that makes and undoes it."""

    name: str
    up: str
    down: str

    @property
    def sha256(self) -> str:
        """Checksum of the SQL that makes the step."""
        return hashlib.sha256(self.up.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Return all steps that the program knows, in order."""
    folder = resources.files("tables") / "migrations"
    texts = {file.name: file.read_text() for file in folder.iterdir()}
    names = sorted(name.removesuffix(".up.sql") for name in texts if name.endswith(".up.sql"))
    return tuple(
        Migration(name, texts[f"{name}.up.sql"], texts[f"{name}.down.sql"]) for name in names
    )


async def bring_up_to_date(server: PostgresServer) -> list[str]:
    """Apply what is missing in a server's database; return its names.

    Raises
    ------
    StoreUnavailable
        If the server does not answer.
    StoreConflict
        As for `migrate`.
    """
    try:
        connection = await asyncpg.connect(
            server.url, timeout=_CONNECT_S, command_timeout=_COMMAND_S
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StoreUnavailable(
            f"PostgreSQL at {server.spoken} does not answer: {error!r}; start it, a stack's own "
            "one with `tradewind up`"
        ) from error
    try:
        return await migrate(connection)
    except TimeoutError as error:
        connection.terminate()
        raise StoreUnavailable(
            f"PostgreSQL at {server.spoken} did not answer within {_COMMAND_S:g} s while its "
            "schema was brought up to date: is a table locked?"
        ) from error
    finally:
        await connection.close(timeout=_CONNECT_S)


async def migrate(
    connection: asyncpg.Connection, steps: tuple[Migration, ...] | None = None
) -> list[str]:
    """Apply what is missing; return its names. Who comes second waits for the first.

    Raises
    ------
    StoreConflict
        If the database holds a step that is unknown here, or one whose file has changed.
    """
    steps = migrations() if steps is None else steps
    done = []
    async with _Alone(connection):
        applied = await _applied(connection)
        _check(applied, steps)
        for step in steps:
            if step.name not in applied:
                async with connection.transaction():
                    await connection.execute(step.up)
                    await connection.execute(
                        f"INSERT INTO {SCHEMA}.migrations (name, sha256) VALUES ($1, $2)",  # noqa: S608  a constant
                        step.name,
                        step.sha256,
                    )
                done.append(step.name)
    return done


async def roll_back(
    connection: asyncpg.Connection, last: str, steps: tuple[Migration, ...] | None = None
) -> list[str]:
    """Undo applied steps, the newest first, to the one called ``last``; return their names.

    What the undone tables held is gone.

    Raises
    ------
    StoreConflict
        As for `migrate`, and if ``last`` was not applied.
    """
    steps = migrations() if steps is None else steps
    undone = []
    async with _Alone(connection):
        applied = await _applied(connection)
        _check(applied, steps)
        if last not in applied:
            raise StoreConflict(f"migration {last!r} is not applied; applied are {sorted(applied)}")
        for step in reversed(steps):
            if last <= step.name and step.name in applied:
                async with connection.transaction():
                    await connection.execute(step.down)
                    await connection.execute(
                        f"DELETE FROM {SCHEMA}.migrations WHERE name = $1",  # noqa: S608  a constant
                        step.name,
                    )
                undone.append(step.name)
    return undone


async def _applied(connection: asyncpg.Connection) -> dict[str, str]:
    # A login that may only read what was applied may make nothing, not even what is there.
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{SCHEMA}.migrations"):
        await connection.execute(_KEPT)
    rows = await connection.fetch(f"SELECT name, sha256 FROM {SCHEMA}.migrations")  # noqa: S608  a constant
    return {row["name"]: row["sha256"] for row in rows}


def _check(applied: dict[str, str], steps: tuple[Migration, ...]) -> None:
    known = {step.name: step.sha256 for step in steps}
    for name, sha256 in sorted(applied.items()):
        if name not in known:
            raise StoreConflict(
                f"the database has migration {name}, which this version does not know: "
                "deploy the version that made it, or roll back with that one first"
            )
        if known[name] != sha256:
            raise StoreConflict(
                f"migration {name} was applied with SHA-256 {sha256[:12]} and its file has "
                f"{known[name][:12]} now: restore the file, and put the change into a new one"
            )


class _Alone:
    """Holds the advisory lock of migrations on a connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute("SELECT pg_advisory_lock($1)", _LOCK)

    async def __aexit__(self, *_: object) -> None:
        await self._connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
