"""What administrators did is listed, and a log that was changed says so."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import audit, models, risk, stack, token
from tables.stores.admin_log import FILE, AdminLog


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    for group in (audit, models, risk, stack, token):
        group.register(app)
    return CliRunner().invoke(app, words)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a stack to which somebody has issued a token, tried to resume, and changed the key."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    (tmp_path / "default").mkdir()
    issued = json.loads(
        say("token", "issue", "--subject", "desk", "--portfolio", "main", "--json").stdout
    )
    assert say("token", "revoke", issued["jti"], "--reason", "lost").exit_code == 0
    assert say("token", "rotate").exit_code == 0
    # There is no broker: the act is tried, and told as failed.
    assert say("risk", "resume", "--role", "admin", "--reason", "it is well").exit_code == 1
    return tmp_path / "default"


def test_admin_when_asked_then_lists_acts_with_their_ends(home: Path) -> None:
    """Who, what, why and what came of it, in order; the text of no token is in it."""
    found = [json.loads(line) for line in say("audit", "admin", "--json").stdout.splitlines()]
    assert [(act["what"], act["result"]) for act in found] == [
        ("token issue", "done"),
        ("token revoke", "done"),
        ("token rotate", "done"),
        ("risk resume", "failed"),
    ]
    assert found[0]["on"] == "desk as trader"
    assert found[1]["reason"] == "lost"
    assert (found[3]["role"], found[3]["on"]) == ("admin", "main")
    assert "does not run" in found[3]["detail"]
    assert "eyJ" not in (home / FILE).read_text()
    shown = say("audit", "admin").stdout
    assert "token" in shown
    assert "failed" in shown


def test_admin_when_the_log_was_changed_then_says_which_line(home: Path) -> None:
    """Exit 1; nothing is listed as if it were true."""
    path = home / FILE
    path.write_text(path.read_text().replace("lost", "found"))
    said = say("audit", "admin")
    assert said.exit_code == 1
    assert "line 3" in said.output


def test_admin_when_models_change_then_says_which_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stack decides by is an act: those that fail stand there with the reason."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setattr(stack, "_start", lambda *_: [])
    digest = "0" * 64
    assert say("models", "register", digest).exit_code == 1
    assert say("up", "--models", digest).exit_code == 0
    assert say("up").exit_code == 0
    acts = AdminLog(tmp_path / "default").acts()
    assert [(act.deed.what, act.deed.on, act.result) for act in acts] == [
        ("models register", digest, "failed"),
        ("up", digest, "done"),
    ]
    assert digest[:12] in acts[0].detail
