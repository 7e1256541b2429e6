"""The process of a role begins its work when the broker is there, and not before."""

import pytest

from agents.cli import role_process
from agents.cli.role_process import run_role


def test_role_when_the_broker_is_away_then_begins_once_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever starts it again when it ends need not know what is up already."""
    told: list[str] = []

    async def serve() -> None:
        told.append("served")

    monkeypatch.setattr(role_process.os, "nice", lambda _by: None)
    monkeypatch.setattr(role_process, "await_broker", told.append)
    run_role("b:9092", serve, 0)
    assert told == ["b:9092", "served"]
