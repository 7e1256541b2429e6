"""The process of the role: acts that are written down, rows that wait for a database."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from agents.cli import rollout_role
from agents.cli.rollout_role import Deeds, ResultRows
from agents.rollout import Rollouts
from agents.topology import Place
from models.errors import Refused
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from streams.rollouts import RolloutState
from tables.archive import Rows, run_key
from tables.rollout import result_rows, state_event
from tables.stores.admin_log import AdminLog
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore
from tests.unit.tables.test_rollout import advanced, begun
from tests.unit.tables.views.test_rollouts import ANSWER, Desk

OF = run_key("s-1", "")


class Store:
    """Refuses what it is told to, and keeps the rest."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.rows: list[Rows] = []

    async def put(self, batches: list[Rows]) -> None:
        """Keep rows, or be away."""
        if self.errors:
            raise self.errors.pop(0)
        self.rows += batches


async def written(results: ResultRows, store: Store) -> None:
    """Let rows be written until nothing is left to do."""
    task = asyncio.create_task(results.work(cast(RowStore, store)))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def states() -> tuple[RolloutState, RolloutState]:
    """Return a rollout before and after a step."""
    return state_event(begun()), state_event(advanced(begun()))


async def test_results_when_the_database_comes_back_then_the_newest_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One state a rollout waits: it has all transitions."""
    monkeypatch.setattr(rollout_role, "_RETRY_S", 0.0)
    results, store = ResultRows(OF), Store(StoreUnavailable("away"))
    for said in states():
        results.put(said)
    await written(results, store)
    assert store.rows == [result_rows(OF, states()[1])]


async def test_results_when_rows_are_refused_then_the_role_goes_on() -> None:
    """The topic has them; the same rows would be refused again."""
    results, store = ResultRows(OF), Store(StoreConflict("no"))
    results.put(states()[0])
    await written(results, store)
    assert store.rows == []
    results.put(states()[1])
    await written(results, store)
    assert len(store.rows) == 1


async def test_deeds_when_done_then_each_is_in_the_log_of_acts(tmp_path: Path) -> None:
    """Who, what, on what and why; and that one was refused."""
    desk = Desk()
    deeds = Deeds(cast(Rollouts, desk), tmp_path)
    assert deeds.told() == ANSWER
    await deeds.begin("r1", "c", "ops", "why")
    await deeds.act("hold", "r1", "ops", "so")
    await deeds.set_flag("auto-advance", "ops", "", is_on=True)
    desk.refused = Refused("NOT_NOW", "state", "held", "running for advance")
    with pytest.raises(Refused):
        await deeds.act("advance", "r1", "ops", "")
    said = [(a.deed.what, a.deed.on, a.deed.by, a.result) for a in AdminLog(tmp_path).acts()]
    assert sorted(said) == sorted(
        [
            ("rollout start", "c", "ops", "done"),
            ("rollout hold", "r1", "ops", "done"),
            ("rollout flag", "auto-advance on", "ops", "done"),
            ("rollout advance", "r1", "ops", "failed"),
        ]
    )


def place(home: Path) -> Place:
    """Return where the role of a stack runs."""
    artifacts = home / "artifacts"
    return Place("b:1", "", 1, home / "rollout", artifacts, "127.0.0.1", 0, "0")


async def test_serve_when_there_is_nothing_to_roll_out_on_then_says_so(tmp_path: Path) -> None:
    """A stack that was never live, and a second role beside the first."""
    with pytest.raises(SettingsError, match="has no plan"):
        await rollout_role.serve(place(tmp_path))
    with (
        FileLock.take(tmp_path / "rollout" / "rollout.lock"),
        pytest.raises(SettingsError, match="another process"),
    ):
        await rollout_role.serve(place(tmp_path))
