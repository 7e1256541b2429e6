"""A few connections that many readers of one process share, made when somebody reads."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from tables.stores.errors import StoreBusy, StoreUnavailable
from tables.stores.postgres_away import AWAY, BROKEN_OFF
from tables.stores.servers.postgres import PostgresServer

log = logging.getLogger("tradewind.forensics")

CONNECTIONS_MAX = 4
# A page waits for less; who comes back later finds a shorter queue.
WAIT_S = 5.0
_CONNECT_S = 5.0
_ANSWER_S = 30.0

Prepare = Callable[[asyncpg.Connection], Coroutine[Any, Any, None]]


class ReadingPool:
    """Connections for reading, at most four; a lost one is made anew at its next use.

    Parameters
    ----------
    server
        Where the database is; it need not run yet.
    prepare
        Awaited with each new connection.
    wait_s
        How long a reader waits for one of them, in s.
    """

    def __init__(self, server: PostgresServer, prepare: Prepare, *, wait_s: float = WAIT_S) -> None:
        self.server = server
        self._prepare = prepare
        self._wait_s = wait_s
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._giving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection for one reading; whoever is cancelled in it waits for nothing more.

        Raises
        ------
        StoreBusy
            If all of them are in use for longer than a reader waits.
        StoreUnavailable
            If the server does not answer in time.
        """
        try:
            pool = await self._opened()
            connection = await self._taken(pool)
            try:
                # The pool's wrapper has all that a connection has.
                yield cast("asyncpg.Connection", connection)
            except BROKEN_OFF:
                # Nobody waits for a server that hangs, and its place is free at once.
                connection.terminate()
                raise
            finally:
                self._give_back(pool, connection)
        except AWAY as error:
            raise StoreUnavailable(
                f"PostgreSQL at {self.server.spoken} does not answer: {error!r}"
            ) from error

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                # Of no size at first, so that this asks no server.
                self._pool = await asyncpg.create_pool(
                    self.server.url,
                    min_size=0,
                    max_size=CONNECTIONS_MAX,
                    init=self._prepared,
                    timeout=_CONNECT_S,
                    command_timeout=_ANSWER_S,
                )
            return self._pool

    async def _prepared(self, connection: asyncpg.Connection) -> None:
        try:
            await self._prepare(connection)
        except BROKEN_OFF:
            # The driver would say good-bye, and wait for the answer.
            connection.terminate()
            raise

    async def _taken(self, pool: asyncpg.Pool) -> PoolConnectionProxy:
        try:
            return await pool.acquire(timeout=self._wait_s)
        except TimeoutError as error:
            if pool.get_size() < CONNECTIONS_MAX:
                raise
            raise StoreBusy(
                f"no connection to PostgreSQL was free within {self._wait_s:g} s: "
                f"{CONNECTIONS_MAX} are in use; ask again in a moment"
            ) from error

    def _give_back(self, pool: asyncpg.Pool, connection: PoolConnectionProxy) -> None:
        """Let the connection be made ready for the next reader, in a task that no reader awaits."""
        task = asyncio.create_task(self._released(pool, connection))
        self._giving.add(task)
        task.add_done_callback(self._giving.discard)

    async def _released(self, pool: asyncpg.Pool, connection: PoolConnectionProxy) -> None:
        try:
            await pool.release(connection, timeout=self._wait_s)
        except AWAY as error:
            # The driver has ended it; the next reader gets another one.
            log.warning("a connection to PostgreSQL was lost behind a reading: %r", error)

    async def close(self) -> None:
        """Let the connections go; the next reading makes new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()
        await asyncio.gather(*self._giving)
