"""A connection for one reading: whose trouble it is when something breaks meanwhile."""

import errno
from typing import Any

import asyncpg
import pytest

from agents.run.workers import free_port
from tables.stores import postgres_connection
from tables.stores.errors import StoreUnavailable
from tables.stores.postgres_connection import reading
from tables.stores.servers.postgres import PostgresServer


class Connection:
    """Stands for one of asyncpg's; counts how often it was let go."""

    n_ended = 0

    def terminate(self) -> None:
        """Count."""
        self.n_ended += 1


@pytest.fixture
def server() -> PostgresServer:
    """Give an address at which nothing listens."""
    url = f"postgresql://reader@127.0.0.1:{free_port('127.0.0.1')}/tradewind"
    return PostgresServer(url, "given", "DATABASE_URL is set")


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Give a connection that any server grants."""
    granted = Connection()

    async def connect(*_: Any, **__: Any) -> Connection:  # noqa: ANN401  any argument
        return granted

    monkeypatch.setattr(postgres_connection.asyncpg, "connect", connect)
    return granted


async def test_reading_when_nothing_listens_then_the_store_is_away(server: PostgresServer) -> None:
    """The message has the address, which a person can look at."""
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        async with reading(server):
            pass


@pytest.mark.parametrize("error", [ConnectionResetError(), asyncpg.InterfaceError("is closed")])
async def test_reading_when_the_connection_breaks_then_the_store_is_away(
    server: PostgresServer, connection: Connection, error: Exception
) -> None:
    """What the driver says of a lost server is an error of the store, and nothing stays open."""
    with pytest.raises(StoreUnavailable, match="does not answer"):
        async with reading(server):
            raise error
    assert connection.n_ended == 1


async def test_reading_when_the_readers_disk_is_full_then_the_store_is_not_to_blame(
    server: PostgresServer, connection: Connection
) -> None:
    """Who writes down what it reads hears of its own disk, not of PostgreSQL."""
    with pytest.raises(OSError, match="No space left"):
        async with reading(server):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert connection.n_ended == 1
