"""The process of the role: acts that are written down, and one process at a time."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.cli import rollout_role
from agents.cli.rollout_role import Deeds
from agents.rollout import Rollouts
from agents.topology import Place
from models.errors import Refused
from streams.brokers.locks import FileLock
from streams.errors import SettingsError
from tables.stores.admin_log import AdminLog
from tests.unit.tables.views.test_rollouts import ANSWER, Desk


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


class Behind:
    """Two topics, one of them with records that are not read yet, and a role that looks at both."""

    old, quiet = (TopicPartition(f"t{number}", 0) for number in range(2))

    def __init__(self) -> None:
        self.positions = {self.old: iter([3, 4, 5, 6]), self.quiet: iter([0])}
        self.is_behind = True
        self.said: list[bool] = []

    def assignment(self) -> set[TopicPartition]:
        """Stand in for the consumer."""
        return {self.old, self.quiet}

    async def end_offsets(self, _places: object) -> dict[TopicPartition, int]:
        """Stand in for the consumer."""
        return {self.old: 5, self.quiet: 0}

    async def position(self, place: TopicPartition) -> int:
        """Stand in for the consumer."""
        return next(self.positions[place])

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        """Stand in for the consumer."""
        return {}

    def take(self, _fetched: object) -> None:
        """Stand in for the role."""

    async def look(self) -> None:
        """Stand in for the role, which ends at the fourth look."""
        self.said.append(self.is_behind)
        if len(self.said) == 4:
            raise asyncio.CancelledError

    def keep(self) -> None:
        """Stand in for the role."""


async def test_work_when_much_came_meanwhile_then_is_behind_until_it_is_read() -> None:
    """By the offsets at its start: what comes later keeps no stage back."""
    played = Behind()
    with pytest.raises(asyncio.CancelledError):
        await rollout_role._work(cast(Rollouts, played), cast(AIOKafkaConsumer, played))
    assert played.said == [True, True, False, False]
