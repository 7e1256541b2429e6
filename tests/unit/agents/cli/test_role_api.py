"""The APIs beside the worker: their callers are counted where the worker counts them."""

import contextlib
from pathlib import Path
from typing import ClassVar

import pytest

from agents.cli import role_api, web
from agents.cli.role_api import Listening, listen
from tables.stores.servers import redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import Callers
from tables.views.behind import Behind
from tables.views.call_limits import CallLimits
from tables.views.pages import About

_URL = "redis://127.0.0.1:1/0"


class Counted(CallLimits):
    """Limits that say where they count."""

    opened: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []

    def __init__(self, redis_url: str = "") -> None:
        super().__init__(redis_url)
        self.redis_url = redis_url

    async def open(self) -> None:
        """Note it."""
        self.opened.append(self.redis_url)

    async def close(self) -> None:
        """Note it."""
        self.closed.append(self.redis_url)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """Give the limits that both programs make."""
    monkeypatch.setattr(role_api, "CallLimits", Counted)
    monkeypatch.setattr(web, "CallLimits", Counted)
    monkeypatch.setenv(redis.VARIABLE, _URL)
    Counted.opened.clear()
    Counted.closed.clear()
    return Counted


async def test_listen_when_there_is_a_redis_then_callers_are_counted_there(
    counted: type[Counted], tmp_path: Path
) -> None:
    """A minute's limit is one, whatever process is asked."""
    callers = Callers(TokenKeys(tmp_path), "s")
    async with contextlib.AsyncExitStack() as stack:
        await listen(stack, (), callers, Listening("127.0.0.1", 0, redis_url=_URL))
        assert (counted.opened, counted.closed) == ([_URL], [])
    assert counted.closed == [_URL]


@pytest.mark.parametrize(("home", "expected"), [(Path("home"), _URL), (Path(), "")])
async def test_pages_when_the_stack_is_known_then_its_redis_counts_callers(
    counted: type[Counted], tmp_path: Path, home: Path, expected: str
) -> None:
    """Pages of one run alone have no stack, and count by themselves."""
    stack = web.Stack(tmp_path / "auth", "s", Behind(home=tmp_path / home if home.parts else home))
    at = web.Listening("127.0.0.1", 0)
    async with web.serving("127.0.0.1:1", About(""), at, stack):
        assert (counted.opened, counted.closed) == ([expected], [])
    assert counted.closed == [expected]
