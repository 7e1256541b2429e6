"""Where Prometheus finds the roles of a stack."""

import json
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import metrics as commands
from agents.cli.live_plan import METRICS_PORTS, LivePlan
from agents.cli.roles import roles_of
from streams.settings import Settings

PLAN = LivePlan(
    ["e" * 64], "live", 1, 2, archive_port=3, api_port=4, forensics_port=5, explain_port=6,
    clock_port=7, pages_port=8, learning_port=9, learning_metrics_port=10, learning="safe",
    rollout_port=11, rollout_metrics_port=12, rollouts="on",
)  # fmt: skip


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["metrics", "targets", *words])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of the default stack, live and with a database."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setattr(commands, "is_usable", lambda _home: True)
    where = tmp_path / "default"
    where.mkdir()
    PLAN.keep(where)
    return where


@pytest.mark.usefixtures("home")
def test_targets_when_a_stack_is_live_then_has_every_role() -> None:
    """One target a role, at the port that the plan gives its metrics."""
    found = {one["labels"]["role"]: one["targets"] for one in json.loads(say().stdout)}
    assert found == {
        "worker": ["127.0.0.1:1"],
        "clock": ["127.0.0.1:7"],
        "archive": ["127.0.0.1:3"],
        "forensics": ["127.0.0.1:5"],
        "explain": ["127.0.0.1:6"],
        "web": ["127.0.0.1:8"],
        "learning": ["127.0.0.1:10"],
        "rollout": ["127.0.0.1:12"],
    }


def test_targets_when_compared_with_the_roles_then_none_is_forgotten(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is started by `up` is scraped, and listens where the target is."""
    monkeypatch.setattr("agents.cli.roles.is_usable", lambda _home: True)
    started = {role.name: role.arguments for role in roles_of(home, PLAN, "b:1", Settings())}
    assert set(started) == set(METRICS_PORTS)
    for role, field in METRICS_PORTS.items():
        port = getattr(PLAN, field)
        assert {f"--metrics-port={port}", f"--web-port={port}"} & set(started[role])


@pytest.mark.usefixtures("home")
def test_targets_when_there_is_no_database_then_leaves_its_roles_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not started would be down for ever."""
    monkeypatch.setattr(commands, "is_usable", lambda _home: False)
    roles = {one["labels"]["role"] for one in json.loads(say().stdout)}
    assert roles == {"worker", "clock", "explain", "web", "learning", "rollout"}


def test_targets_when_models_do_not_learn_then_leaves_that_role_out(home: Path) -> None:
    """Off is the default, and nothing is started then; so with rollouts."""
    msgspec.structs.replace(PLAN, learning="off", rollouts="off").keep(home)
    assert "learning" not in say().stdout
    assert "rollout" not in say().stdout


def test_targets_when_written_then_the_file_is_whole(home: Path) -> None:
    """The file replaces the one before; nothing is printed."""
    file = home / "targets.json"
    file.write_text("old")
    assert say("--write", str(file)).stdout == ""
    assert json.loads(file.read_text()) == json.loads(say().stdout)
    assert list(home.glob("*.partial")) == []


def test_targets_when_nothing_is_live_then_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker alone has nothing to scrape."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    said = say()
    assert said.exit_code == 1
    assert "tradewind up --models" in said.output
