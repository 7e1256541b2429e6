"""What a rollout makes of a live stack's plan, and what a clock begins with behind a restart."""

from pathlib import Path

import pytest

from agents.cli.clock import _last
from agents.cli.live_plan import LivePlan
from agents.cli.roles import _with_rollout
from agents.cli.turning import Turning
from agents.clock import Announced
from models.rollout.stages import Act, Rollout, start, step
from streams.epochs import Challenge, Epoch
from streams.errors import SettingsError
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts
from tests.builders import epoch, models


class Stack:
    """A folder with a plan of one epoch, and two model sets."""

    def __init__(self, home: Path) -> None:
        self.home = home
        artifacts = Artifacts(home / "artifacts")
        self.old, self.new = (artifacts.put_models(models(seed)) for seed in (1, 2))
        self.epochs = Epochs(artifacts)
        LivePlan([self.epochs.put(epoch(models=self.old))], "live", 1, 2).keep(home)
        self.turning = Turning(home, self.epochs)

    @property
    def plan(self) -> LivePlan:
        """The plan as it stands."""
        plan = LivePlan.of(self.home)
        assert plan is not None
        return plan

    def last(self) -> Epoch:
        """Return the epoch that decides."""
        return self.epochs.load(self.plan.epochs[-1]).epoch

    def begun(self, at_ns: int = 10) -> Rollout:
        """Begin a rollout."""
        return start("r1", self.old, self.new, Act("start", at_ns, "me"))


def test_turn_when_a_rollout_begins_and_ends_then_each_step_is_an_epoch(tmp_path: Path) -> None:
    """The plan has them in order, with rising numbers, and a step that is told again is done."""
    stack = Stack(tmp_path)
    rollout = stack.begun()
    turned = stack.turning.turn(rollout)
    assert turned == Announced(2, stack.plan.epochs[-1])
    assert stack.last().rollout == Challenge(id="r1", challenger=stack.new)
    assert stack.turning.turn(rollout) is None
    advanced = step(rollout, Act("advance", 20, "me", reasons_against=()))
    assert stack.turning.turn(advanced) == Announced(3, stack.plan.epochs[-1])
    # Whoever holds it changes nothing that decides.
    held = step(advanced, Act("hold", 30, "me"))
    assert stack.turning.turn(held) is None
    back = step(held, Act("rollback", 40, "automatic"))
    assert stack.turning.turn(back) == Announced(4, stack.plan.epochs[0])
    assert stack.last().rollout is None
    # An older record that comes again, as from a topic read from its beginning.
    assert Turning(tmp_path, stack.epochs).turn(advanced) is None
    assert len(stack.plan.epochs) == 4


def test_turn_when_models_were_changed_by_hand_then_they_stay(tmp_path: Path) -> None:
    """A rollout of others is no wish of whoever put these in charge."""
    stack = Stack(tmp_path)
    other = Artifacts(tmp_path / "artifacts").put_models(models(3))
    plan = stack.plan
    plan.epochs.append(stack.epochs.put(epoch(models=other)))
    plan.keep(tmp_path)
    assert stack.turning.turn(stack.begun()) is None
    assert stack.last().models == other


def test_turn_when_the_challenger_cannot_be_used_then_the_epoch_stays(tmp_path: Path) -> None:
    """Models that are not here decide nowhere; what is announced can be loaded."""
    stack = Stack(tmp_path)
    missing = start("r1", stack.old, "f" * 64, Act("start", 10, "me"))
    assert stack.turning.turn(missing) is None
    assert stack.last() == epoch(models=stack.old)


def test_turn_when_there_is_no_plan_then_does_nothing(tmp_path: Path) -> None:
    """A folder that was never live has no epoch to change."""
    stack = Stack(tmp_path)
    (tmp_path / "live.json").unlink()
    assert stack.turning.turn(stack.begun()) is None


def test_keep_when_a_rollout_turned_meanwhile_then_refuses_to_write_over_it(tmp_path: Path) -> None:
    """A command that read the plan before must not take an epoch back."""
    stack = Stack(tmp_path)
    read_before = stack.plan
    stack.turning.turn(stack.begun())
    with pytest.raises(SettingsError, match="give the command again"):
        read_before.keep(tmp_path)


def test_last_when_a_rollout_went_on_then_a_restarted_clock_announces_its_epoch(
    tmp_path: Path,
) -> None:
    """The options of the process are of before; the plan is of now."""
    stack = Stack(tmp_path)
    first = Announced(1, stack.plan.epochs[0])
    assert _last(tmp_path, first) == first
    stack.turning.turn(stack.begun())
    assert _last(tmp_path, first) == Announced(2, stack.plan.epochs[1])
    assert _last(tmp_path, Announced(1, "")) == Announced(2, stack.plan.epochs[1])
    assert _last(tmp_path / "none", first) == first
    with pytest.raises(SettingsError, match="no plan"):
        _last(tmp_path / "none", Announced(1, ""))


def test_up_when_a_rollout_runs_then_goes_on_with_the_same_models_only(tmp_path: Path) -> None:
    """Settings may change below a rollout; the models may not."""
    stack = Stack(tmp_path)
    stack.turning.turn(stack.begun())
    wanted = epoch(models=stack.old, lateness_ms=2_000)
    assert _with_rollout(wanted, stack.last()).rollout == stack.last().rollout
    with pytest.raises(SettingsError, match="tradewind rollout rollback r1"):
        _with_rollout(epoch(models=stack.new), stack.last())
