"""Connections to PostgreSQL: one that lasts for who writes, a fresh one for each reading."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.migrations import migrate
from tables.stores.postgres_away import AWAY, BAD_ROWS, BROKEN_OFF
from tables.stores.servers.postgres import PostgresServer

_CONNECT_S = 5.0
# A batch takes milliseconds; a table that is locked for longer is a store that is away.
_ANSWER_S = 30.0

Prepare = Callable[[asyncpg.Connection], Awaitable[None]]


class LastingConnection:
    """The connection of one who writes, made anew after it was lost.

    Parameters
    ----------
    server
        Where the database is; its schema is brought up to date at each connect.
    prepare
        Awaited with each new connection behind that.
    """

    def __init__(self, server: PostgresServer, prepare: Prepare | None = None) -> None:
        self.server = server
        self._prepare = prepare
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[asyncpg.Connection]:
        """Give the connection; what breaks on it becomes an error of the store.

        Raises
        ------
        StoreUnavailable
            If the server does not answer in time.
        StoreConflict
            If it refuses rows: the `__cause__` says which rule they break.
        """
        try:
            if self._connection is None:
                self._connection = await self._connected()
            yield self._connection
        except BAD_ROWS as error:
            raise StoreConflict(f"PostgreSQL refused rows: {error}") from error
        except AWAY as error:
            self.drop()
            raise StoreUnavailable(
                f"PostgreSQL at {self.server.spoken} did not do it: {error!r}"
            ) from error

    async def _connected(self) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self.server.url, timeout=_CONNECT_S, command_timeout=_ANSWER_S
        )
        try:
            await migrate(connection)
            if self._prepare is not None:
                await self._prepare(connection)
        except StoreConflict as error:
            connection.terminate()
            # The rows are not to blame: they wait until somebody has looked at the schema.
            raise StoreUnavailable(str(error)) from error
        except BaseException:
            connection.terminate()
            raise
        return connection

    def drop(self) -> None:
        """Let the connection go; the next use makes a new one."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.terminate()


@asynccontextmanager
async def reading(
    server: PostgresServer, *, answer_s: float | None = _ANSWER_S
) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection for one reading; ``answer_s`` bounds each command, None bounds none.

    Raises
    ------
    StoreUnavailable
        If the server does not answer in time.
    """
    connection = None
    try:
        connection = await asyncpg.connect(server.url, timeout=_CONNECT_S, command_timeout=answer_s)
        yield connection
    except AWAY as error:
        # A full disk of who reads is no trouble of the server's.
        if connection is not None and type(error) is OSError:
            raise
        raise StoreUnavailable(
            f"PostgreSQL at {server.spoken} does not answer: {error!r}"
        ) from error
    finally:
        if connection is not None:
            connection.terminate()


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Read in one transaction, as a cursor must.

    A reading that breaks off is not rolled back: a server that hangs would not answer that either.
    Whoever gave the connection ends it.
    """
    transaction = connection.transaction(readonly=True)
    await transaction.start()
    try:
        yield
    except BROKEN_OFF:
        raise
    except BaseException:
        await transaction.rollback()
        raise
    await transaction.commit()
