"""Which models a live stack goes on with, also when something is away."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.cli import live_models as chosen
from agents.cli.live_models import live_models, standing, while_rolling_out
from agents.cli.live_plan import LivePlan
from models.rollout.stages import Act, start, step
from streams.errors import SettingsError
from tables.stores.artifacts import Artifacts
from tables.stores.errors import StoreUnavailable
from tests.builders import models
from tests.unit.agents.cli.test_turning import Stack

LAST = SimpleNamespace(timeframe="1min", models="a" * 64, rollout=None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of a stack that has been live, and whose registry is away."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setattr(chosen, "named", _away)
    monkeypatch.setattr(LivePlan, "decides", lambda *_: LAST)
    where = tmp_path / "paper"
    where.mkdir()
    return where


def _away(*_: object) -> str:
    raise StoreUnavailable("MLflow at http://127.0.0.1:1 did not do it")


def _ran(home: Path) -> None:
    LivePlan(["e" * 64], "live", 1, 2).keep(home)


def test_models_when_a_digest_is_asked_for_then_nobody_else_is(home: Path) -> None:
    """Whoever names models wants these, registry or not."""
    _ran(home)
    assert live_models("paper", "b" * 64) == "b" * 64


def test_models_when_none_are_asked_for_then_those_that_decide_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that starts again changes no models; a new stack begins with the champion."""
    monkeypatch.setattr(chosen, "named", lambda stack, asked: f"{asked} of {stack}")
    assert live_models("paper", None) == "champion of paper"
    _ran(home)
    assert live_models("paper", None) == "a" * 64
    assert live_models("paper", "champion") == "champion of paper"


@pytest.mark.parametrize("asked", ["champion", "champion:1min"])
def test_models_when_the_registry_is_away_then_what_ran_last_goes_on(
    home: Path, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    """A registry that is down when a machine starts stops no trading."""
    _ran(home)
    assert live_models("paper", asked) == "a" * 64
    assert "goes on with the models that it ran last, aaaaaaaaaaaa" in capsys.readouterr().out


def test_models_when_nothing_fitting_ran_before_then_the_error_is_told(home: Path) -> None:
    """Models of another timeframe are no substitute, and none are none."""
    with pytest.raises(StoreUnavailable, match="did not do it"):
        live_models("paper", "champion")
    _ran(home)
    with pytest.raises(StoreUnavailable, match="did not do it"):
        live_models("paper", "champion:1day")


def test_models_when_a_rollout_runs_then_those_that_decide_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine that starts again in the middle of a rollout neither ends it nor stays down."""
    _ran(home)
    rolling = SimpleNamespace(timeframe="1min", models="c" * 64, rollout="r1")
    monkeypatch.setattr(LivePlan, "decides", lambda *_: rolling)
    assert live_models("paper", "champion") == "c" * 64
    assert "A rollout runs, so models cccccccccccc go on" in capsys.readouterr().out


def test_champion_when_a_rollout_took_it_back_then_nobody_goes_live_by_its_name(
    tmp_path: Path,
) -> None:
    """The registry may still call it champion; once it went through a rollout it stands again."""
    stack = Stack(tmp_path)
    begun = stack.begun()
    stack.turning.turn(begun)
    assert standing(tmp_path, stack.new) == stack.new
    stack.turning.turn(step(begun, Act("rollback", 20, "automatic")))
    with pytest.raises(SettingsError, match="models register DIGEST"):
        standing(tmp_path, stack.new)
    assert standing(tmp_path, stack.old) == stack.old
    again = start("r2", stack.old, stack.new, Act("start", 30, "me"))
    for at_ns in (40, 50, 60, 70):
        again = step(again, Act("advance", at_ns, "me", reasons_against=()))
    stack.turning.turn(again)
    assert again.is_over
    assert standing(tmp_path, stack.new) == stack.new
    assert standing(tmp_path / "none", stack.new) == stack.new


def test_rolling_out_when_asked_then_is_the_epoch_that_decides(tmp_path: Path) -> None:
    """Without a rollout there is nothing to go on with, and without a plan as well."""
    stack = Stack(tmp_path)
    assert while_rolling_out(tmp_path) is None
    assert while_rolling_out(tmp_path / "none") is None
    stack.turning.turn(stack.begun())
    assert while_rolling_out(tmp_path) == stack.last()


def test_champion_when_it_learned_from_what_fell_then_does_not_stand(tmp_path: Path) -> None:
    """What learned from models that went back has their poison; from those that decide, none."""
    stack = Stack(tmp_path)
    artifacts = Artifacts(tmp_path / "artifacts")

    def learned(start: str, seed: int) -> str:
        made = models(seed)
        metadata = {**made.metadata, "learned": {"start": start}}
        return artifacts.put_models(made._replace(metadata=metadata))

    child = learned(learned(stack.new, 11), 12)
    sound = learned(stack.old, 13)
    begun = stack.begun()
    stack.turning.turn(begun)
    assert standing(tmp_path, child) == child
    stack.turning.turn(step(begun, Act("rollback", 20, "automatic")))
    with pytest.raises(SettingsError, match=f"took models {stack.new[:12]}, which it learned from"):
        standing(tmp_path, child)
    assert standing(tmp_path, sound) == sound
    # A rollout of its own, all the way, and it stands, with what learns from it.
    again = start("r2", stack.old, child, Act("start", 30, "me"))
    while not again.is_over:
        at_ns = again.transitions[-1].at_ns + 10
        again = step(again, Act("advance", at_ns, "me", reasons_against=()))
    stack.turning.turn(again)
    later = learned(child, 14)
    assert [standing(tmp_path, each) for each in (child, later)] == [child, later]
