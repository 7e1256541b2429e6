"""The page in a real browser: what a person sees after a decision is on Kafka."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.cli.web import Listening, serving
from streams.records import Rejection
from tables.views.pages import About
from tests.e2e.browser import CHROMIUM, FLAGS, STARTUP_S
from tests.integration.test_web import declared, written
from tests.unit.tables.views.played import LEVERAGED, TOO_MUCH, decision, decision_id, refused

pytestmark = [
    pytest.mark.broker,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: apt-get install it"),
]

_SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
_WIDTH, _HEIGHT = 1440, 900
_HOSTILE = "<img src=x onerror=document.title=1>"

# An empty page of this size compresses to about 8 kB.
_PNG_BYTES_MIN = 20_000


async def browse(profile: Path, url: str, *wanted: str) -> str:
    """Open a page in a browser without a past; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM),
        *FLAGS,
        f"--window-size={_WIDTH},{_HEIGHT}",
        f"--user-data-dir={profile}",
        *wanted,
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(STARTUP_S):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return printed.decode()


async def photographed(profile: Path, url: str, name: str) -> None:
    """Take a picture and check that there is something on it."""
    _SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    picture = _SCREENSHOTS / f"{name}.png"
    picture.unlink(missing_ok=True)
    await browse(profile, url, f"--screenshot={picture}")
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (_WIDTH, _HEIGHT)
    assert len(data) > _PNG_BYTES_MIN


@asynccontextmanager
async def served(broker: str, run: str) -> AsyncIterator[str]:
    """Serve three decisions, one of them hostile, and yield the address once they are read."""
    await declared(broker, run)
    hostile = refused(3, Rejection(_HOSTILE, _HOSTILE, 1.0, 2.0), symbol=_HOSTILE)
    events = (decision(1), refused(2, TOO_MUCH, LEVERAGED, symbol="XOM"), hostile)
    await written(broker, *((f"{run}.trading-decisions", 0, event) for event in events))
    about = About(run, "built by hand")
    async with serving(broker, about, Listening("127.0.0.1", 0)) as (url, _):
        await asyncio.sleep(0)
        yield url


def visible(dom: str) -> str:
    """Return the text between the tags, blanks folded."""
    return " ".join(re.sub(r"<[^>]+>", " ", dom).split())


async def test_page_when_opened_in_a_browser_then_decisions_are_readable_and_nothing_runs(
    broker: str, tmp_path: Path
) -> None:
    """The list and a detail page render with their styles, and foreign HTML stays text."""
    async with served(broker, "page1") as url:
        async with asyncio.timeout(STARTUP_S):
            dom = ""
            while "XOM" not in dom:
                dom = await browse(tmp_path, url, "--dump-dom")
        text = visible(dom)
        for expected in ("▲ BUY", "✓ approved", "✕ refused", "MAX_LEVERAGE", "run page1"):
            assert expected in text
        assert "<img" not in dom
        assert "<title>Decisions · page1 · Tradewind</title>" in dom
        detail = f"{url}decisions/{decision_id(2)}"
        text = visible(await browse(tmp_path, detail, "--dump-dom"))
        for expected in ("Why it was refused", "0.31", "1.62", "page1.trading-decisions"):
            assert expected in text
        await photographed(tmp_path, url, "decisions")
        await photographed(tmp_path, detail, "decision")
