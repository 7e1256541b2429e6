"""``tradewind rollout``: what is asked of the role, and what a person reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from typer.testing import CliRunner, Result

from agents.cli import program
from agents.cli import rollout as commands
from agents.cli.live_plan import LivePlan
from streams.client.api import Api
from streams.rollouts import FeatureFlag, RolloutsAnswer, RolloutState, SetFlag, StartRollout
from tables.rollout import state_event
from tables.stores.token_keys import TokenKeys
from tests.unit.tables.test_rollout import EVIDENCE, advanced, begun

STATE = state_event(advanced(begun()))
FLAG = FeatureFlag(
    timestamp="2026-01-01T00:00:00Z", name="auto-advance", is_on=False, by="me", reason=""
)
ANSWER = msgspec.convert(
    msgspec.to_builtins({"rollouts": [STATE], "flags": [FLAG], "evidence": EVIDENCE}),
    RolloutsAnswer,
)


class Role:
    """Stands in for the client: notes what is asked."""

    said: RolloutsAnswer = ANSWER
    asked: list[Any]

    def __init__(self, url: str, token: str, **_more: Any) -> None:  # noqa: ANN401  of the client
        assert token
        Role.asked = [url]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def rollouts(self) -> RolloutsAnswer:
        """Answer with all."""
        return Role.said

    async def start_rollout(self, asked: StartRollout) -> RolloutState:
        """Note a begin."""
        Role.asked.append(asked)
        return STATE

    async def act_on_rollout(self, rollout_id: str, kind: str, reason: str) -> RolloutState:
        """Note an act."""
        Role.asked.append((rollout_id, kind, reason))
        return STATE

    async def set_flag(self, name: str, asked: SetFlag) -> FeatureFlag:
        """Note a flag."""
        Role.asked.append((name, asked.is_on))
        return FLAG


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the home of a live stack with the role."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setattr(commands, "Api", Role)
    where = tmp_path / "default"
    where.mkdir()
    LivePlan(["e" * 64], "live", 1, 2, rollout_port=5, rollouts="on").keep(where)
    yield where
    Role.said = ANSWER


def say(*words: str) -> Result:
    """Run the program."""
    return CliRunner().invoke(program(("rollout", "token")), ["rollout", *words])


def test_status_when_a_rollout_runs_then_says_stage_arms_and_what_is_against_it(home: Path) -> None:
    """A person reads it; a program gets all of it."""
    said = say("status")
    assert said.exit_code == 0, said.output
    for expected in ("Rollout r1: running, stage 5%", "decides for 5 %", "challenger", "0.98"):
        assert expected in said.output
    assert "Against the next stage: nothing: it may go on." in said.output
    assert "auto-advance is off." in said.output
    assert json.loads(say("status", "--json").stdout)["evidence"]["n_bars"] == 500
    assert Role.asked == ["http://127.0.0.1:5"]
    tokens = TokenKeys(home / "auth").issued()
    assert {each.role for each in tokens} == {"admin"}
    assert all(each.expires_s - each.issued_s <= 60 for each in tokens)


def test_start_when_a_digest_is_given_then_asks_for_it(home: Path) -> None:
    """Seven days a stage unless it is said otherwise."""
    assert home.exists()
    said = say("start", "d" * 64, "--id=r7", "--dwell-hours=2", "--reason=why")
    assert said.exit_code == 0, said.output
    (asked,) = Role.asked[1:]
    assert asked == StartRollout(
        challenger="d" * 64, rollout_id="r7", dwell_seconds=7_200.0, reason="why"
    )
    say("start", "d" * 64)
    assert Role.asked[1].dwell_seconds == 7 * 86_400


def test_start_when_the_champion_is_meant_then_is_the_registrys(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry knows which models that is."""
    assert home.exists()
    monkeypatch.setattr(commands, "named", lambda stack, asked: f"{stack} {asked}")
    say("start", "champion:1min")
    assert Role.asked[1].challenger == "default champion:1min"


@pytest.mark.parametrize("kind", ["advance", "hold", "resume", "rollback"])
@pytest.mark.parametrize("name", [(), ("r3",)])
def test_act_when_given_then_is_of_the_last_rollout_or_the_named_one(
    home: Path, kind: str, name: tuple[str, ...]
) -> None:
    """Nobody types an id that there is only one of."""
    assert home.exists()
    said = say(kind, *name, "--reason=so")
    assert said.exit_code == 0, said.output
    assert Role.asked[1:] == [(name[0] if name else "r1", kind, "so")]


def test_act_when_there_is_no_rollout_then_says_how_to_begin(home: Path) -> None:
    """The message is the way on."""
    assert home.exists()
    Role.said = RolloutsAnswer(rollouts=[], flags=[], evidence=None)
    said = say("hold")
    assert said.exit_code == 1
    assert "tradewind rollout start DIGEST" in said.output
    assert "tradewind rollout start DIGEST" in say("status").output


def test_flag_when_set_then_says_how_it_is(home: Path) -> None:
    """On and off, and nothing else."""
    assert home.exists()
    said = say("flag", "auto-advance", "off")
    assert Role.asked[1:] == [("auto-advance", False)]
    assert said.output == "auto-advance is off.\n"
    assert say("flag", "auto-advance", "perhaps").exit_code == 2


def test_commands_when_there_is_no_role_then_say_what_to_do(home: Path) -> None:
    """Off is the default; a stack that was never live has none."""
    LivePlan(["e" * 64], "live", 1, 2).keep(home)
    assert "TRADEWIND_ROLLOUTS=on tradewind up" in say("status").output
    (home / "live.json").unlink()
    assert "is not live" in say("status").output


def test_commands_when_the_role_does_not_answer_then_say_where_and_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that was taken down is remembered as live; its port is closed, and port 5 is."""
    monkeypatch.setattr(commands, "Api", Api)
    said = say("status")
    assert said.exit_code == 1
    assert "rollout of stack default does not answer at http://127.0.0.1:5" in said.output
    assert "tradewind up --name default starts it" in said.output
    assert "ClientConnector" not in said.output
    assert home.exists()
