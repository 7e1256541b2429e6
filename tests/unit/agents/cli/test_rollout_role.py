"""The process of the role: acts that are written down, and one process at a time."""

from pathlib import Path
from typing import cast

import pytest

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
