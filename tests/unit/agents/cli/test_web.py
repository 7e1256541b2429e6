"""What the process of the pages follows beside them: one that breaks ends it, and says so."""

import asyncio
import logging
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agents.cli import web
from tables.views.behind import Behind
from tables.views.pages import About


async def _breaks() -> None:
    await asyncio.sleep(0.01)
    raise ZeroDivisionError("no gauge")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one of those that feed /metrics break."""
    monkeypatch.setattr(web, "_watching", lambda *_: [_breaks])


@pytest.mark.usefixtures("broken")
async def test_serving_when_what_is_beside_breaks_then_the_reading_ends_with_its_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A gauge that nobody sets any more would show its last value for ever."""
    stack = web.Stack(tmp_path / "auth", "s", Behind(home=tmp_path))
    at = web.Listening("127.0.0.1", 0)
    async with web.serving("127.0.0.1:1", About(""), at, stack) as (_, reading):
        with caplog.at_level(logging.CRITICAL), pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(reading, 10)
    assert caught.group_contains(ZeroDivisionError, match="no gauge")
    assert "what the pages follow ended by an error" in caplog.text


async def test_serving_when_cancelled_then_all_that_is_followed_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C leaves no task behind."""
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.set()

    monkeypatch.setattr(web, "_watching", lambda *_: [waits])
    stack = web.Stack(tmp_path / "auth", "s", Behind(home=tmp_path))
    async with web.serving("127.0.0.1:1", About(""), web.Listening("127.0.0.1", 0), stack):
        await asyncio.sleep(0.05)
    assert ended.is_set()


@pytest.mark.usefixtures("broken")
def test_web_when_what_is_beside_breaks_then_ends_with_a_failure(tmp_path: Path) -> None:
    """Whoever restarts it looks at the exit status."""
    asked = ["--bootstrap=127.0.0.1:1", "--port=0", f"--auth={tmp_path}/auth", f"--home={tmp_path}"]
    app = typer.Typer()
    web.register(app)
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 1
    assert "Stopped." not in ended.output
