"""The process of a role without a broker: one message, and nothing left open."""

import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.cli import program
from agents.run.workers import free_port


@pytest.mark.parametrize(
    ("role", "options"), [("archive", ["--artifacts=."]), ("forensics", [])], ids=str
)
def test_role_when_no_broker_answers_then_says_which_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, options: list[str]
) -> None:
    """The address is the one that was given; no client is said to be left open."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        done = CliRunner().invoke(program([role]), [role, f"--bootstrap={address}", *options])
    assert done.exit_code == 1
    assert f"Kafka at {address} does not answer: start it, or correct --bootstrap" in done.output
    assert "Unclosed" not in done.output
