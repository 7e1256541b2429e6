"""The database of a command that runs for a while: used if it is there, else started."""

import asyncio
import signal
from pathlib import Path

from agents.run.workers import Children
from streams.brokers.waiting import wait_for
from tables.stores.errors import StoreUnavailable
from tables.stores.migrations import bring_up_to_date
from tables.stores.servers import postgres, redis
from tables.stores.servers.postgres import PostgresServer

# PostgreSQL ends its clients' connections at SIGINT; at SIGTERM it would wait for them.
ASK_POSTGRES = signal.SIGINT

_SAID_CHARACTERS = 2_000


def start_redis(home: Path, children: Children) -> None:
    """Start the stack's Redis if it is its own and does not run; nobody waits for it."""
    server = redis.server_of(home)
    own = server.provider == "embedded" and redis.installed() is not None
    if own and not asyncio.run(server.answers()):
        children.start("redis", "redis", f"--name={home.name}")


def database(home: Path, children: Children) -> PostgresServer | None:
    """Return the stack's database, ready and up to date; None if none is given or installed.

    An embedded server that does not run becomes one of the children.

    Raises
    ------
    StoreUnavailable
        If it does not answer in time, or ended by itself; the message says why.
    """
    if not postgres.is_usable(home):
        return None
    server = postgres.server_of(home)
    if server.provider == "embedded" and not asyncio.run(server.answers()):
        children.start("postgres", "postgres", f"--name={home.name}", ask=ASK_POSTGRES)
        process = children.running["postgres"]

        def settled() -> bool:
            return not process.alive() or asyncio.run(server.answers())

        wait_for(settled, timeout_s=postgres.READY_S)
        if not process.alive():
            del children.running["postgres"]
            said = children.log_of("postgres").read_text(errors="replace").strip()
            raise StoreUnavailable(f"PostgreSQL did not start: {said[-_SAID_CHARACTERS:]}")
    asyncio.run(bring_up_to_date(server))
    return server
