"""Whose models become champion: a demo's do, a backtest's on a live stack do not."""

from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from agents.cli import replay
from agents.run import session
from agents.run.session import Session
from agents.run.workers import Children
from streams.sources.synthetic import SyntheticTape

TAPE = SyntheticTape(symbols=2, bars=40, ticks_per_bar=1, seed=3, timeframe="1s")


@pytest.mark.parametrize(("registers", "is_new"), [(True, True), (False, True), (True, False)])
def test_register_when_models_are_new_then_only_who_may_makes_them_champion(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    registers: bool,
    is_new: bool,
) -> None:
    """A champion that changed because somebody looked back would go live unasked."""
    asked: list[tuple[str, ...]] = []
    children = Children(tmp_path)
    children.log_of("register").write_text("version 1 is champion")
    monkeypatch.setattr(session.mlflow, "is_usable", lambda _home: True)
    monkeypatch.setattr(children.__class__, "start", lambda _self, *words: asked.append(words))
    monkeypatch.setattr(children.__class__, "finish", lambda *_, **__: None)
    Session(Console(quiet=True), tmp_path, TAPE, registers=registers)._register(
        "d" * 64, is_new, children
    )
    assert bool(asked) == (registers and is_new)


def test_replay_when_run_then_makes_nobody_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack may be live: its champion is the one that was trained for it."""
    made: list[dict[str, Any]] = []

    class Played:
        """Take the place of a session."""

        def __init__(self, *_: object, **named: Any) -> None:  # noqa: ANN401  any field
            made.append(named)

        def check(self) -> None:
            """Find nothing wrong."""

        def run(self, _servers: str, *, stay: bool) -> bool:
            """Hold."""
            return not stay

    monkeypatch.setattr(replay, "Session", Played)
    monkeypatch.setattr(replay, "open_tape", lambda *_, **__: TAPE)
    monkeypatch.setattr(replay, "servers_of", lambda _name: "127.0.0.1:1")
    app = typer.Typer()
    app.command()(replay.replay)
    assert CliRunner().invoke(app, ["--file", "bars.csv", "--once"]).exit_code == 0
    assert [each["registers"] for each in made] == [False]
