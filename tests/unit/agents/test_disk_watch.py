"""The watch of a disk: what it says, whom it reduces, and that it never lets anybody go on."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from agents.disk_watch import ACTOR, DiskWatch, states_of
from agents.execution import ExecutionFold
from agents.risk import KeptBook, RiskFold
from agents.stage import Stage
from streams.instructions import TradingState, read_instruction
from streams.transport import Outgoing
from tables.epochs import Epochs
from tables.stores.disk import Disk
from tests.unit.tables.test_instructions import apply, opened


class World:
    """A disk, some books and a log."""

    def __init__(self, **states: str) -> None:
        self.used = 0.5
        self.states = states
        self.sent: list[Outgoing] = []
        disk = Disk(Path("/d"), measure=lambda _: self.used)
        self.watch = DiskWatch(disk, "portfolio-events", lambda: self.states, self.append)

    async def append(self, record: Outgoing) -> None:
        """Take a record."""
        self.sent.append(record)

    async def look(self, used: float) -> None:
        """Look at a disk of which so much is in use."""
        self.used = used
        await self.watch.look()


async def test_look_when_the_disk_fills_then_says_so_once_and_when_it_has_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """80 % warns; nobody is reduced before 90 %."""
    world = World(main="ACTIVE")
    for used in (0.79, 0.8, 0.85, 0.7):
        await world.look(used)
    assert [each.message for each in caplog.records] == [
        "the disk of /d is 80.0 % full",
        "the disk of /d has room again",
    ]
    assert world.sent == []


async def test_look_when_the_disk_is_full_then_active_books_are_reduced_by_a_record() -> None:
    """One that stands already stays as it is; the record names who, why and what was expected."""
    world = World(main="ACTIVE", other="HALTED", third="REDUCING")
    await world.look(0.912)
    (record,) = world.sent
    assert (record.topic, record.key, record.partition) == ("portfolio-events", b"main", None)
    said = read_instruction(record.value)
    assert isinstance(said, TradingState)
    assert (said.action, said.scope, said.actor, said.role) == (
        "reduce",
        "portfolio",
        ACTOR,
        "trader",
    )
    assert said.reason == "DISK_FULL: the disk of the tables is 91.2% full; expected less than 90%"


async def test_look_when_a_book_is_resumed_too_early_then_it_is_reduced_again() -> None:
    """Each wish has an id of its own; with room nobody is reduced, and nobody let go on."""
    world = World(main="ACTIVE")
    await world.look(0.95)
    world.states = {"main": "REDUCING"}
    await world.look(0.95)
    assert len(world.sent) == 1
    world.states = {"main": "ACTIVE"}
    await world.look(0.95)
    await world.look(0.7)
    first, second = (msgspec.json.decode(each.value)["change_id"] for each in world.sent)
    assert first != second


async def test_look_when_the_record_is_folded_then_the_account_is_reducing_until_resumed() -> None:
    """What the fold makes of it is what it makes of a person's, so a replay does the same."""
    world = World(main="ACTIVE")
    await world.look(0.95)
    account = opened()
    apply(account, read_instruction(world.sent[0].value))
    assert account.kept.switches.state() == "REDUCING"
    assert account.kept.switches.thrown["portfolio"].actor == ACTOR


def test_states_when_the_stage_folds_here_then_its_books_are_told_and_others_are_not() -> None:
    """What is no book has no state."""
    fold = RiskFold(cast(Epochs, None), lambda _: None)
    fold.portfolios["main"] = cast(KeptBook, SimpleNamespace(account=opened()))
    folds = [fold, ExecutionFold(lambda _: None)]
    stage = cast(Stage, SimpleNamespace(folds=lambda: folds))
    assert states_of(stage) == {"main": "ACTIVE"}


async def test_watch_when_started_then_looks_until_it_is_stopped() -> None:
    """The worker's part begins to look at once."""
    world = World(main="ACTIVE")
    world.used = 0.95
    async with world.watch:
        while not world.sent:
            await world.watch.sleep(0.01)
    assert len(world.sent) == 1
