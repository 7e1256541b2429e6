"""Many readers over a few connections: shared, waited for with a bound, and made anew."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from agents.run.workers import free_port
from tables.stores.errors import StoreBusy, StoreUnavailable
from tables.stores.postgres_connection import snapshot
from tables.stores.reading_pool import CONNECTIONS_MAX, ReadingPool
from tables.stores.servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres


async def nothing(_connection: asyncpg.Connection) -> None:
    """Prepare nothing."""


@pytest_asyncio.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[ReadingPool]:
    """Give a pool whose readers wait for a second only."""
    made = ReadingPool(postgres, nothing, wait_s=1.0)
    yield made
    await made.close()


async def backend(pool: ReadingPool) -> int:
    """Read, and return by which process of the server."""
    async with pool.reading() as connection:
        found = await connection.fetchval("SELECT pg_backend_pid()")
    return int(found)


async def test_reading_when_many_come_at_once_then_four_connections_serve_them(
    pool: ReadingPool,
) -> None:
    """A server has room for a hundred clients, and others want some of it."""
    served = await asyncio.gather(*(backend(pool) for _ in range(60)))
    assert 1 <= len(set(served)) <= CONNECTIONS_MAX == 4


async def test_reading_when_all_are_in_use_then_is_busy_and_later_is_not(
    pool: ReadingPool,
) -> None:
    """Waiting has a bound, and whoever comes back later is served."""
    free = asyncio.Event()

    async def hold() -> None:
        async with pool.reading():
            await free.wait()

    holding = [asyncio.create_task(hold()) for _ in range(CONNECTIONS_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy, match="4 are in use"):
        await backend(pool)
    free.set()
    await asyncio.gather(*holding)
    assert await backend(pool)


async def test_reading_when_the_server_ends_its_connections_then_new_ones_are_made(
    pool: ReadingPool, postgres: PostgresServer
) -> None:
    """As at a restart of PostgreSQL: nobody has to restart the pages."""
    before = set(await asyncio.gather(*(backend(pool) for _ in range(8))))
    owner = await asyncpg.connect(postgres.url)
    try:
        for pid in before:
            await owner.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    finally:
        await owner.close()
    await asyncio.sleep(0.05)
    assert not before & set(await asyncio.gather(*(backend(pool) for _ in range(8))))


async def test_reading_when_a_query_fails_or_breaks_off_then_the_connection_is_given_back(
    pool: ReadingPool,
) -> None:
    """Five broken readings on four connections leave the pool as it was."""
    for _ in range(CONNECTIONS_MAX + 1):
        with pytest.raises(StoreUnavailable, match="division by zero"):
            async with pool.reading() as connection:
                await connection.execute("SELECT 1 / 0")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), pool.reading() as connection:
                await connection.execute("SELECT pg_sleep(5)")
    assert await backend(pool)


Within = Callable[[asyncpg.Connection], AbstractAsyncContextManager[None]]


async def hung(pool: ReadingPool, within: Within, stopped: list[int]) -> None:
    """Stop the server and the process that answers, in the middle of a reading."""
    async with asyncio.timeout(0.3), pool.reading() as connection, within(connection):
        folder = Path(await connection.fetchval("SHOW data_directory"))
        own = await connection.fetchval("SELECT pg_backend_pid()")
        stopped += [int((folder / "postmaster.pid").read_text().split()[0]), own]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        await connection.fetchval("SELECT 1")


@pytest.mark.parametrize("within", [lambda _: nullcontext(), snapshot])
async def test_reading_when_the_server_hangs_then_the_deadline_of_the_caller_holds(
    pool: ReadingPool, within: Within
) -> None:
    """Stopped in the middle, a server answers neither a roll-back nor the end of a reading."""
    stopped: list[int] = []
    begun_s = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            await hung(pool, within, stopped)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backend(pool), 0.2)
        taken_s = time.monotonic() - begun_s
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    # Without a deadline of their own, each of these takes a second and more.
    assert taken_s < 1.0
    assert await backend(pool) != stopped[1]


async def test_reading_when_a_new_connection_hangs_then_the_deadline_of_the_caller_holds(
    postgres: PostgresServer,
) -> None:
    """Connected, and no answer to what makes the connection ready."""
    stopped: list[int] = []

    async def hang(connection: asyncpg.Connection) -> None:
        stopped.append(await connection.fetchval("SELECT pg_backend_pid()"))
        os.kill(stopped[0], signal.SIGSTOP)
        await connection.fetchval("SELECT 1")

    pool = ReadingPool(postgres, hang)
    begun_s = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backend(pool), 0.3)
        taken_s = time.monotonic() - begun_s
    finally:
        os.kill(stopped[0], signal.SIGCONT)
        await pool.close()
    assert taken_s < 1.0


async def test_reading_when_nothing_listens_or_the_pool_was_closed_then_says_so_or_opens(
    postgres: PostgresServer,
) -> None:
    """The address is in the message for the log; a closed pool that is used again is a new one."""
    away = PostgresServer(f"postgresql://x@127.0.0.1:{free_port('127.0.0.1')}/x", "given", "")
    pool = ReadingPool(away, nothing)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        await backend(pool)
    await pool.close()
    pool = ReadingPool(postgres, nothing)
    first = await backend(pool)
    await pool.close()
    await pool.close()
    assert await backend(pool) != first
    await pool.close()
