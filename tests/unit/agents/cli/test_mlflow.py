"""The program of the stack's MLflow: a server when nothing else is asked of it."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.cli import mlflow as command
from agents.cli import program


def told(*arguments: str) -> Any:  # noqa: ANN401  typer's result
    """Run ``tradewind mlflow``."""
    return CliRunner().invoke(program(["mlflow"]), ["mlflow", *arguments])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep stacks in a folder of the test's own."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_mlflow_when_no_command_follows_then_becomes_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stack of before starts it as it always did."""
    started: list[list[str]] = []

    async def nothing(_server: object) -> list[str]:
        return []

    monkeypatch.setattr(command, "bring_up_to_date", nothing)
    monkeypatch.setattr(
        command.os, "execve", lambda _program, arguments, _environment: started.append(arguments)
    )
    result = told("--name=s", "--port=5123")
    assert result.exit_code == 0, result.output
    assert started[0][1:4] == ["-m", "mlflow", "server"]
    assert started[0][-3:] == ["5123", "--workers", "1"]


def test_migrate_when_mlflow_is_missing_then_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker's installation has no registry."""
    monkeypatch.setattr(command.server, "PACKAGE", "no_such_package")
    result = told("migrate", "--from", "sqlite:///x.db")
    assert result.exit_code == 1
    assert "make setup" in result.output


def test_migrate_when_there_is_no_database_then_says_how_to_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither given nor embedded: there is nowhere to move to."""
    monkeypatch.setattr(command, "database", lambda *_: None)
    result = told("migrate", "--from", "sqlite:///x.db")
    assert result.exit_code == 1
    assert "the stack has no PostgreSQL" in result.output


@pytest.mark.parametrize(
    ("locations", "said"),
    [
        (("/", "s3://bucket/1"), "2 experiments, 1 with files."),
        (
            ("./no-such-folder/0",),
            "1 of these folders are not here, the first is ./no-such-folder/0",
        ),
        (("mlflow-artifacts:/1",), "is served by a server: give it the same files"),
    ],
)
def test_about_when_artefacts_are_elsewhere_then_says_so(
    locations: tuple[str, ...], said: str
) -> None:
    """Only places are moved, and a person must know which of them are of no use here."""
    assert said in command._about(locations)
