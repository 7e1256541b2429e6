"""Where rollouts are told besides their topic: what waits while a place is away."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from agents.cli import rollout_outlets
from agents.cli.rollout_outlets import Outlet, Outlets, to_registry, to_rows
from agents.run import registration
from models.rollout.stages import Rollout
from streams.rollouts import RolloutState
from tables.archive import Rows, run_key
from tables.rollout import result_rows, state_event
from tables.stores.artifacts import ArtifactMissing
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore
from tests.unit.tables.test_rollout import advanced, begun

OF = run_key("s-1", "")
ALL_DONE_S = 5.0


class Store:
    """Refuses what it is told to, and keeps the rest."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.rows: list[Rows] = []

    async def put(self, batches: Sequence[Rows]) -> None:
        """Keep rows, or be away."""
        if self.errors:
            raise self.errors.pop(0)
        self.rows += batches


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again without a pause."""
    monkeypatch.setattr(rollout_outlets, "_RETRY_S", 0.0)


async def written(outlet: Outlet, is_done: Any) -> None:  # noqa: ANN401  a function
    """Let an outlet work until something holds."""
    task = asyncio.create_task(outlet.work())
    try:
        async with asyncio.timeout(ALL_DONE_S):
            while not is_done():  # noqa: ASYNC110  a list raises no event
                await asyncio.sleep(0.001)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rows(store: Store) -> Outlet:
    """Return the way into a store of rows."""
    return to_rows(OF, cast(RowStore, store))


def states() -> tuple[RolloutState, RolloutState]:
    """Return a rollout before and after a step."""
    return state_event(begun()), state_event(advanced(begun()))


async def test_outlet_when_the_database_comes_back_then_the_newest_is_written() -> None:
    """One state a rollout waits: it has all transitions."""
    store = Store(StoreUnavailable("away"))
    outlet = rows(store)
    for said in states():
        Outlets([outlet]).put(said)
    await written(outlet, lambda: store.rows)
    assert store.rows == [result_rows(OF, states()[1])]


async def test_outlet_when_rows_are_refused_then_the_role_goes_on() -> None:
    """The topic has them; the same rows would be refused again."""
    store = Store(StoreConflict("no"))
    outlet = rows(store)
    outlet.put(states()[0])
    await written(outlet, lambda: not store.errors)
    assert store.rows == []
    outlet.put(states()[1])
    await written(outlet, lambda: store.rows)
    assert len(store.rows) == 1


async def test_registry_when_it_was_away_then_every_rollout_is_followed_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earliest step first; one whose models are gone holds up no other."""
    n_asked, followed = 0, []

    def opened(home: Path) -> str:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 1:
            raise StoreUnavailable("away")
        return home.name

    def follow(registry: str, _artifacts: object, rollout: Rollout) -> None:
        if rollout.id == "gone":
            raise ArtifactMissing("no models")
        followed.append((registry, rollout.id, rollout.stage))

    monkeypatch.setattr(rollout_outlets, "opened_in", opened)
    monkeypatch.setattr(registration, "follow", follow)
    outlet = to_registry(tmp_path / "s")
    last = advanced(begun())
    for rollout in (last._replace(id="last"), begun()._replace(id="gone"), begun()):
        outlet.put(state_event(rollout))
    await written(outlet, lambda: len(followed) > 1)
    assert followed == [("s", begun().id, 0), ("s", "last", last.stage)]
