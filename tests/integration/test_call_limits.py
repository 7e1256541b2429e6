"""Counts of callers in a real Redis: shared by all processes, and nobody waits for them."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tables.views.auth import Caller
from tables.views.call_limits import PER_MINUTE, CallLimits
from tables.views.problems import ProblemError
from tests.integration.test_feature_cache import Server

MOST = PER_MINUTE["admin"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Give a Redis that runs."""
    found = Server(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def _within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no minute end in the middle of a test."""
    monkeypatch.setattr("tables.views.call_limits.clock.wall_ns", lambda: 1_800_000_000 * 10**9)


def caller(jti: str) -> Caller:
    """Build a caller."""
    return Caller("ann", jti, "admin", ("*",), 2**40)


async def opened(server: Server) -> CallLimits:
    """Give limits whose counts are shared."""
    limits = CallLimits(server.server.url)
    await limits.open()
    return limits


async def passed(limits: list[CallLimits], jti: str, n: int) -> int:
    """Count how many of n requests pass, each at the next process."""
    found = 0
    for number in range(n):
        with suppress(ProblemError):
            await limits[number % len(limits)].count(caller(jti), "admin")
            found += 1
    return found


async def test_count_when_two_processes_count_then_the_limit_is_one(server: Server) -> None:
    """Half of the requests at each; and another caller has a limit of its own."""
    both = [await opened(server) for _ in range(2)]
    assert await passed(both, "a", MOST + 20) == MOST
    assert await passed(both, "b", 5) == 5
    for limits in both:
        await limits.close()


async def test_count_when_redis_freezes_then_each_process_counts_alone(server: Server) -> None:
    """A tenth of a second is waited once; the limit stays on."""
    limits = await opened(server)
    server.sign(signal.SIGSTOP)
    try:
        assert await passed([limits], "c", MOST + 20) == MOST
    finally:
        server.sign(signal.SIGCONT)
    await limits.close()
