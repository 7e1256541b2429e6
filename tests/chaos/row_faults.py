"""Faults of what is off the decision path: the database and the archive that fills it."""

import asyncio
import os
import signal

import asyncpg
import psutil

from agents.run.stores import database
from tables.stores.servers.postgres import server_of
from tests.chaos.faults import Fault, How, Struck

_AWAY_S = (1.0, 8.0)


async def strike_rows(struck: Struck) -> None:
    """Kill, freeze or lock the database, or freeze the archive, while decisions go on."""
    acts = (_database_killed, _database_frozen, _table_locked, _archive_frozen)
    if struck.watching:
        await struck.watching[-1]
    # The tape goes on meanwhile: a stage that waited for the database would hold it up.
    act = acts[struck.n_strikes % len(acts)]
    struck.watching.append(asyncio.create_task(act(struck)))


async def _database_killed(struck: Struck) -> None:
    process = struck.trial.children.running.pop("postgres")
    os.kill(process.pid, signal.SIGKILL)
    await struck.trial.until(lambda: not process.alive(), "database gone")
    await asyncio.sleep(struck.draw.uniform(*_AWAY_S))
    await asyncio.to_thread(database, struck.trial.run.home, struck.trial.children)


async def _database_frozen(struck: Struck) -> None:
    await _frozen(struck, "postgres")


async def _archive_frozen(struck: Struck) -> None:
    await _frozen(struck, "archive")


async def _frozen(struck: Struck, name: str) -> None:
    process = psutil.Process(struck.trial.children.running[name].pid)
    all_of_it = [process, *process.children(recursive=True)]
    for one in all_of_it:
        one.suspend()
    try:
        await asyncio.sleep(struck.draw.uniform(*_AWAY_S))
    finally:
        for one in all_of_it:
            one.resume()


async def _table_locked(struck: Struck) -> None:
    connection = await asyncpg.connect(server_of(struck.trial.run.home).url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tradewind.regime_history IN EXCLUSIVE MODE")
            await asyncio.sleep(struck.draw.uniform(*_AWAY_S))
    finally:
        await connection.close()


ROWS = Fault(
    "rows", "the same decisions meanwhile, every row once after it", strike_rows, 8, How(rows=True)
)
