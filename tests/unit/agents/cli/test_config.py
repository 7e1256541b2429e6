"""What is in force is shown with its source, and no password with it."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from agents.cli import config as commands
from streams.settings import Settings


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["config", "show", *words])


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where no file of settings lies and no address is set."""
    monkeypatch.chdir(tmp_path)
    for name in (*commands.SECRETS, *commands._SHOWN):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def shown(*words: str) -> dict[str, tuple[object, str]]:
    """Return value and source by name."""
    said = say("--json", *words)
    assert said.exit_code == 0, said.output
    return {one["name"]: (one["value"], one["source"]) for one in json.loads(said.stdout)}


def test_config_when_nothing_is_set_then_shows_every_default() -> None:
    """Each setting is there once, from the code."""
    found = shown()
    assert set(found) == set(Settings.model_fields)
    assert {source for _, source in found.values()} == {"default"}
    assert found["lateness_ms"] == (200, "default")


def test_config_when_file_and_environment_are_set_then_says_which(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins over the file; tables of both are put together."""
    (place / "tradewind.toml").write_text(
        'lateness_ms = 500\npartitions = 4\n[portfolios.main]\ncash = "5"\n'
    )
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "8")
    monkeypatch.setenv("TRADEWIND_PORTFOLIOS__MAIN__CURRENCY", "EUR")
    found = shown()
    assert found["lateness_ms"] == (500, "tradewind.toml")
    assert found["partitions"] == (8, "environment")
    assert found["portfolios"] == (
        {"main": {"cash": "5", "currency": "EUR"}},
        "environment, tradewind.toml",
    )


@pytest.mark.parametrize(
    ("name", "given", "spoken"),
    [
        ("DATABASE_URL", "postgresql://me:s3cret@db:5432/t", "postgresql://me:***@db:5432/t"),
        ("DATABASE_URL", "postgresql://db/t?password=s3cret", "postgresql://db/t?password=***"),
        ("REDIS_URL", "redis://:s3cret@r:6379/0", "redis://:***@r:6379/0"),
        ("MLFLOW_TRACKING_URI", "https://me:s3cret@m", "https://me:***@m"),
        ("KAFKA_PASSWORD", "k://s3cret", "***"),
        ("DATABASE_URL", "s3cret", "***"),
        ("DATABASE_URL", "postgresql://[s3cret", "***"),
    ],
)
def test_config_when_an_address_has_a_password_then_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, spoken: str
) -> None:
    """Neither people nor programs see it; what is no address is not shown at all."""
    monkeypatch.setenv(name, given)
    assert shown()[name] == (spoken, "environment")
    monkeypatch.setenv("COLUMNS", "200")
    table = say()
    assert table.exit_code == 0
    assert "s3cret" not in table.output
    assert name in table.output


def test_config_when_a_setting_is_wrong_then_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every command does."""
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "none")
    said = say()
    assert said.exit_code == 1
    assert "partitions" in said.output
