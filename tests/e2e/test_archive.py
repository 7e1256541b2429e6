"""The archive beside a run: killed, and its database killed, every row is there once in the end."""

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from agents.archive import spill_folder
from agents.run.archived import archived
from agents.run.drive import start_archive
from agents.run.stores import database
from models.features.catalogue import WARMUP_BARS
from streams.failpoints import VARIABLE
from tables.stores.servers.postgres import PostgresServer
from tables.stores.spilled import waiting
from tests.runs import TAPE, Outcome, Trial, trial

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

_N_ROWS = len(TAPE.symbols) * len(TAPE.closes_ns())
_PATIENCE_S = 60.0


async def archive_killed(run: Trial) -> None:
    """Kill the archive between any two of its steps and start it again."""
    process = run.children.running.pop("archive")
    os.kill(process.pid, signal.SIGKILL)
    await run.until(lambda: not process.alive(), "archive gone")
    start_archive(run.run, run.children)


def start_to_die(run: Trial, point: str) -> None:
    """Start the archive so that it ends at its first visit to a failpoint."""
    run.children.environment[VARIABLE] = f"archive.{point}"
    try:
        start_archive(run.run, run.children)
    finally:
        del run.children.environment[VARIABLE]


async def archive_dead(run: Trial) -> None:
    """Wait until the archive has ended at its failpoint."""
    process = run.children.running.pop("archive")
    await run.until(lambda: not process.alive(), "archive dead at a failpoint")
    assert "failpoint archive." in run.children.log_of("archive").read_text(errors="replace")


async def archive_dead_in_copy(run: Trial) -> None:
    """Let the next one die as well: its rows are in, their offsets are not committed."""
    await archive_dead(run)
    start_to_die(run, "before-mark")


async def archive_dead_before_mark(run: Trial) -> None:
    """Find that what the next one reads again is there already."""
    await archive_dead(run)
    start_archive(run.run, run.children)


async def database_killed(run: Trial) -> None:
    """Kill the database under the archive."""
    process = run.children.running.pop("postgres")
    os.kill(process.pid, signal.SIGKILL)
    await run.until(lambda: not process.alive(), "database gone")


async def archive_killed_with_records_on_disk(run: Trial) -> None:
    """Kill the archive when it has begun to put records aside."""
    folder = spill_folder(run.run.home, run.run.name)
    await run.until(lambda: any(waiting(folder)), "records that wait on disk")
    await archive_killed(run)


async def database_back(run: Trial) -> None:
    """Start the database again on its data."""
    await asyncio.to_thread(database, run.run.home, run.children)


async def rows_by_slot(server: PostgresServer, run: str) -> list[asyncpg.Record]:
    """Read what is kept of a run."""
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetch(
            "SELECT regime.*, weights.bull_score, weights.bull_specialist + "
            "weights.bear_specialist + weights.sideways_specialist AS sum "
            "FROM tradewind.regime_history AS regime JOIN tradewind.weight_decisions AS weights "
            "USING (stack, run, timeframe, symbol, bar_close) WHERE run = $1 "
            "ORDER BY bar_close, symbol",
            run,
        )
    finally:
        await connection.close()


async def test_archive_when_it_and_its_database_are_killed_then_keeps_every_slot_once(
    broker: str, home: Path, fitted: str, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are complete, joinable and sane, and no decision noticed."""
    monkeypatch.setenv("TRADEWIND_HOME", str(home.parent))
    async with trial(broker, home, fitted, "archived") as run:
        server = await asyncio.to_thread(database, home, run.children)
        assert server is not None
        run.start()
        start_to_die(run, "in-copy")
        moments = {
            30: archive_dead_in_copy,
            60: archive_dead_before_mark,
            80: database_killed,
            150: archive_killed_with_records_on_disk,
            200: database_back,
        }
        await run.feed(moments)
        kept = await archived(run.run, server, patience_s=_PATIENCE_S)
        n_positions = kept.pop("positions")
        assert kept == {
            "epochs": 1,
            "archive_gaps": 0,
            "regime_history": _N_ROWS,
            "weight_decisions": _N_ROWS,
            "risk_metrics": len(TAPE.closes_ns()),
            "book_changes": 0,
            "explanations": 0,
        }
        said = (await run.outcome()).accounts.values()
        assert n_positions == sum(len(json.loads(value)["holdings"]) for value in said) > 0
        rows = await rows_by_slot(server, "archived")
        assert not (await run.outcome()).differs(undisturbed)
    assert len(rows) == _N_ROWS
    assert all(abs(row["sum"] - 1.0) <= 1e-9 for row in rows)
    warm = [row for row in rows if row["bull_score"] is not None]
    assert len(warm) == len(TAPE.symbols) * (len(TAPE.closes_ns()) - WARMUP_BARS + 1)
