"""Where rollouts are told besides their topic: rows in SQL, and names in the registry of models.

Neither is on the way of a rollout: while one is away, how things stand waits for it, and behind a
restart the topic says it again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from agents.cli.models import opened_in
from agents.run import registration
from streams.rollouts import RolloutState
from tables.archive import RunKey
from tables.rollout import result_rows, rollout_of
from tables.stores.artifacts import ArtifactError, Artifacts
from tables.stores.errors import StoreConflict, StoreUnavailable
from tables.stores.row_store import RowStore

log = logging.getLogger("tradewind.rollout")

_RETRY_S = 10.0

Write = Callable[[Sequence[RolloutState]], Awaitable[None]]


class Outlet:
    """How rollouts stand, on the way to a store: the newest of each waits while it is away.

    Parameters
    ----------
    what
        What the store calls it, for the log.
    write
        Writes what waits; what was written before may come again.
    """

    def __init__(self, what: str, write: Write) -> None:
        self._what = what
        self._write = write
        self._waiting: dict[str, RolloutState] = {}
        self._asked = asyncio.Event()

    def put(self, said: RolloutState) -> None:
        """Take how a rollout stands, with all of its transitions."""
        self._waiting[said.rollout_id] = said
        self._asked.set()

    async def work(self) -> None:
        """Write what waits, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                await self._write(list(waiting.values()))
            except StoreUnavailable as error:
                log.warning("%s of rollouts wait: %s", self._what, error)
                self._waiting = waiting | self._waiting
                await asyncio.sleep(_RETRY_S)
                self._asked.set()
            except StoreConflict as error:
                # They stay in the topic; the same would be refused again.
                log.error("%s of rollouts were refused: %s", self._what, error)  # noqa: TRY400  its text says all


class Outlets:
    """All places at once."""

    def __init__(self, places: Sequence[Outlet]) -> None:
        self._places = places

    def put(self, said: RolloutState) -> None:
        """Tell each how a rollout stands."""
        for place in self._places:
            place.put(said)


def to_rows(of: RunKey, store: RowStore) -> Outlet:
    """Return the way into ``ab_results``."""

    async def write(standing: Sequence[RolloutState]) -> None:
        await store.put([result_rows(of, said) for said in standing])

    return Outlet("results", write)


def to_registry(home: Path) -> Outlet:
    """Return the way to the names of a stack's models."""

    async def write(standing: Sequence[RolloutState]) -> None:
        # MLflow's client waits for its server, and takes seconds to be imported.
        await asyncio.to_thread(partial(_follow, home, standing))

    return Outlet("names in the registry", write)


def _follow(home: Path, standing: Sequence[RolloutState]) -> None:
    registry, artifacts = opened_in(home), Artifacts(home / "artifacts")
    rollouts = [rollout_of(said) for said in standing]
    for rollout in sorted(rollouts, key=lambda each: each.transitions[-1].at_ns):
        try:
            registration.follow(registry, artifacts, rollout)
        except ArtifactError as error:
            log.error("the registry does not follow rollout %s: %s", rollout.id, error)  # noqa: TRY400  its text says all
