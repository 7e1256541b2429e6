"""Faults of what is off the decision path: the database and the archive that fills it."""

import asyncio
import os
import signal
from contextlib import suppress

import asyncpg
import psutil
from aiokafka.admin import AIOKafkaAdminClient

from agents.archive import group_of, spill_folder
from agents.run.drive import start_archive
from agents.run.stores import database
from streams.failpoints import ARCHIVE, VARIABLE
from tables.stores.servers.postgres import server_of
from tests.chaos.faults import Fault, How, Strike, Struck

_AWAY_S = (1.0, 8.0)

# The long way: what a tape says but for its first and last bars waits on the archive's disk.
AWAY_FROM_BAR = 60
_BACK_BEFORE_END = 40
_TAPE_S = 600.0

# What the archive says once the database does not answer.
_NOTICED = "the database is away"


async def strike_rows(struck: Struck) -> None:
    """Kill, freeze or lock the database, or freeze the archive, while decisions go on."""
    acts = (_database_killed, _database_frozen, _table_locked, _archive_frozen)
    if struck.watching:
        await struck.watching[-1]
    # The tape goes on meanwhile: a stage that waited for the database would hold it up.
    act = acts[struck.n_strikes % len(acts)]
    struck.watching.append(asyncio.create_task(act(struck)))


async def kill_until_the_end(struck: Struck) -> None:
    """Kill the database, and start it again shortly before the tape's end."""
    await _database_killed(struck, _near_the_end)


async def freeze_until_the_end(struck: Struck) -> None:
    """Freeze the database until shortly before the tape's end."""
    await _frozen(struck, "postgres", _near_the_end)


async def _near_the_end(struck: Struck) -> None:
    trial = struck.trial
    n_bars = len(trial.tape.closes_ns()) - _BACK_BEFORE_END
    await trial.until(lambda: trial.n_fed >= n_bars, f"bar {n_bars} was sent", timeout_s=_TAPE_S)


async def _a_while(struck: Struck) -> None:
    await asyncio.sleep(struck.draw.uniform(*_AWAY_S))


async def _database_killed(struck: Struck, away: Strike = _a_while) -> None:
    process = struck.trial.children.running.pop("postgres")
    os.kill(process.pid, signal.SIGKILL)
    await struck.trial.until(lambda: not process.alive(), "database gone")
    await away(struck)
    said = struck.trial.children.log_of("archive").read_text(errors="replace")
    if _NOTICED not in said:
        struck.violations.append(f"the archive never said {_NOTICED!r}: nothing was tried")
    await asyncio.to_thread(database, struck.trial.run.home, struck.trial.children)


async def _database_frozen(struck: Struck) -> None:
    await _frozen(struck, "postgres")


async def _archive_frozen(struck: Struck) -> None:
    await _frozen(struck, "archive")


async def _frozen(struck: Struck, name: str, away: Strike = _a_while) -> None:
    process = psutil.Process(struck.trial.children.running[name].pid)
    all_of_it = [process, *process.children(recursive=True)]
    for one in all_of_it:
        with suppress(psutil.NoSuchProcess):  # a server's helpers come and go
            one.suspend()
    try:
        await away(struck)
        await _held_up(struck, f"{name} was frozen")
    finally:
        for one in all_of_it:
            with suppress(psutil.NoSuchProcess):
                one.resume()


async def _table_locked(struck: Struck) -> None:
    connection = await asyncpg.connect(server_of(struck.trial.run.home).url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tradewind.regime_history IN EXCLUSIVE MODE")
            await asyncio.sleep(struck.draw.uniform(*_AWAY_S))
            await _held_up(struck, "a table was locked")
    finally:
        await connection.close()


async def _held_up(struck: Struck, what: str) -> None:
    """See that the archive is behind: else it had nothing to do, or was not held up at all.

    What it reads while something waits on its disk goes there as well.
    """
    trial = struck.trial
    admin = AIOKafkaAdminClient(bootstrap_servers=trial.run.bootstrap_servers)
    await admin.start()
    try:
        kept = await admin.list_consumer_group_offsets(group_of(trial.run.name))
    finally:
        await admin.close()
    ends = await trial.consumer.end_offsets(list(kept))
    is_behind = sum(ends[where] - one.offset for where, one in kept.items()) > 0
    waits = spill_folder(trial.run.home, trial.run.name).glob("*.segment")
    if not is_behind and not any(file.stat().st_size for file in waits):
        struck.violations.append(f"the archive kept up while {what}: nothing was tried")


async def die_in_archive(struck: Struck) -> None:
    """Let the archive die at one of its failpoints, and start it again."""
    children, run = struck.trial.children, struck.trial.run
    point = ARCHIVE[struck.n_strikes % len(ARCHIVE)]
    children.running.pop("archive").end()
    children.environment[VARIABLE] = f"archive.{point}:{struck.draw.randint(1, 3)}"
    start_archive(run, children)
    del children.environment[VARIABLE]
    process = children.running["archive"]
    await struck.trial.until(lambda: not process.alive(), f"an end at archive.{point}")
    said = children.log_of("archive").read_text(errors="replace")
    if f"failpoint archive.{point}" not in said:
        struck.violations.append(f"the archive ended by itself and not at {point}: {said[-500:]}")
    start_archive(run, children)


ROWS = Fault(
    "rows", "the same decisions meanwhile, every row once after it", strike_rows, 16, How(rows=True)
)
DIE_IN_ARCHIVE = Fault(
    "archive", "every row once, whatever was half copied", die_in_archive, 6, How(rows=True)
)
