"""The stack's commands, on parts that are played."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import stack
from agents.cli.doctor import Finding, State
from agents.cli.live_plan import LivePlan
from agents.cli.parts import PartState
from streams.errors import BrokerFailedError, SettingsError, TapeError

_UP = PartState("broker", "embedded", True, "because", "127.0.0.1:29092", 4321, 75.2, 240.4)  # noqa: FBT003  reads as the table does


@dataclass
class _PlayedPart:
    """A part that notes what it was told."""

    name: str
    told: list[str]
    answer: str | None = None
    broken: bool = False
    states: list[PartState] = field(default_factory=lambda: [_UP])

    def start(self) -> PartState:
        """Start, unless broken."""
        if self.broken:
            raise BrokerFailedError("port 29092 is taken; name another with --port")
        self.told.append(f"start {self.name}")
        return self.states[0]

    def stop(self) -> str | None:
        """Stop."""
        self.told.append(f"stop {self.name}")
        return self.answer

    def state(self) -> PartState:
        """Tell the state."""
        return self.states[0]


def _run(monkeypatch: pytest.MonkeyPatch, parts: list[_PlayedPart], *words: str) -> Result:
    monkeypatch.setattr(stack, "parts_of", lambda _home, **_named: parts)
    told = parts[0].told if parts else []
    stores = [_PlayedPart(name, told) for name in ("postgres", "redis", "mlflow")]
    monkeypatch.setattr(stack, "stores_of", lambda _name: stores)
    monkeypatch.setattr(stack, "keeper_of", lambda _home: _PlayedPart("keeper", told))
    app = typer.Typer()
    stack.register(app)
    return CliRunner().invoke(app, list(words))


def test_up_when_there_are_two_parts_then_they_start_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later part may rely on an earlier one."""
    told: list[str] = []
    result = _run(monkeypatch, [_PlayedPart("a", told), _PlayedPart("b", told)], "up")
    assert (result.exit_code, told) == (
        0,
        [
            "stop keeper",
            "start a",
            "start b",
            "start postgres",
            "start redis",
            "start mlflow",
            "start keeper",
        ],
    )
    assert "127.0.0.1:29092" in result.stdout
    assert "1 min 15 s" in result.stdout
    assert "240 MB" in result.stdout
    assert "broker: because." in result.stdout


def test_up_when_a_part_fails_then_its_words_are_shown_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The person reads the way out and nothing else."""
    result = _run(monkeypatch, [_PlayedPart("a", [], broken=True)], "up")
    assert result.exit_code == 1
    assert result.stderr == "port 29092 is taken; name another with --port\n"


def test_down_when_parts_run_then_the_last_one_stops_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody loses what it relies on before it is stopped itself."""
    told: list[str] = []
    played = [_PlayedPart("a", told, "broker at x"), _PlayedPart("b", told, "worker at y")]
    result = _run(monkeypatch, played, "down")
    assert told == ["stop keeper", "stop mlflow", "stop redis", "stop postgres", "stop b", "stop a"]
    assert result.stdout == "Stopped worker at y, broker at x.\n"


def test_down_when_nothing_runs_then_it_says_so_and_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second `down` is no error."""
    result = _run(monkeypatch, [_PlayedPart("a", [])], "down", "--name", "paper")
    assert (result.exit_code, result.stdout) == (0, "Nothing ran in stack paper.\n")


def test_status_when_json_is_asked_for_then_every_field_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Programs read names, not columns."""
    result = _run(monkeypatch, [_PlayedPart("a", [])], "status", "--json")
    assert json.loads(result.stdout)[0] == {
        "name": "broker",
        "provider": "embedded",
        "running": True,
        "why": "because",
        "address": "127.0.0.1:29092",
        "pid": 4321,
        "uptime_s": 75.2,
        "memory_mb": 240.4,
        "restarts": None,
    }


def test_status_when_a_part_is_down_then_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What does not apply is a dash."""
    down = PartState("broker", "embedded", running=False, why="start it")
    result = _run(monkeypatch, [_PlayedPart("a", [], states=[down])], "status")
    assert result.exit_code == 0
    assert "down" in result.stdout


@pytest.mark.parametrize("name", ["../x", "Upper"])
def test_every_command_when_the_name_is_no_folder_then_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A refused name reaches no part."""
    for command in ("up", "down", "status"):
        result = _run(monkeypatch, [], command, "--name", name)
        assert result.exit_code == 1
        assert "Stack name was" in result.stderr


def _start_with_history(home: Path) -> None:
    stack._start_roles("paper", home, "127.0.0.1:1", "f" * 64, Path("bars.csv"))


def test_up_when_its_history_cannot_be_sent_then_it_can_be_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong file is corrected and given again: nothing was live yet."""

    async def declared(*_: object) -> None:
        """Have the topics."""

    def refused(*_: object) -> None:
        raise TapeError("history bars.csv ends in the future")

    monkeypatch.setattr(stack, "planned", lambda *_: LivePlan(["e" * 64], "live", 1, 2))
    monkeypatch.setattr(LivePlan, "decides", lambda *_: None)
    monkeypatch.setattr(stack, "remarks", lambda _epoch: [])
    monkeypatch.setattr(stack, "declare_live", declared)
    monkeypatch.setattr(stack, "roles_of", lambda *_: [])
    monkeypatch.setattr(stack, "_warm_up", refused)
    for _ in range(2):
        with pytest.raises(TapeError, match="in the future"):
            _start_with_history(tmp_path)
    monkeypatch.setattr(stack, "_warm_up", lambda *_: None)
    _start_with_history(tmp_path)
    with pytest.raises(SettingsError, match="--history comes before"):
        _start_with_history(tmp_path)


def test_up_when_history_is_given_without_models_then_is_refused(tmp_path: Path) -> None:
    """A history that nobody sends must not look sent."""
    with pytest.raises(SettingsError, match="with its first --models"):
        stack._start_roles("paper", tmp_path, "127.0.0.1:1", None, Path("bars.csv"))


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("optional", 0), ("missing", 1)], ids=str)
def test_doctor_when_the_demo_cannot_run_then_it_exits_with_one(
    monkeypatch: pytest.MonkeyPatch, state: State, code: int
) -> None:
    """Scripts ask the doctor by its exit code; what is optional does not count."""
    found = [Finding("Java", state, "nothing", "apt-get install it")]
    monkeypatch.setattr(stack, "examine", lambda: found)
    assert _run(monkeypatch, [], "doctor").exit_code == code
    result = _run(monkeypatch, [], "doctor", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)[0]["state"] == state


def test_plan_when_it_is_of_before_then_new_roles_get_ports_and_old_ones_keep_theirs(
    tmp_path: Path,
) -> None:
    """An upgraded stack runs what has come since, on ports that stay the same."""
    plan = LivePlan(["e" * 64], "live", 1, 2, 3)
    plan.complete("127.0.0.1")
    assert (plan.worker_port, plan.web_port, plan.archive_port) == (1, 2, 3)
    assert 0 not in {plan.forensics_port, plan.explain_port}
    plan.keep(tmp_path)
    again = LivePlan.of(tmp_path)
    assert again == plan
    again.complete("127.0.0.1")
    assert again == plan
