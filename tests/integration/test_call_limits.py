"""Counts of callers in a real Redis: shared by all processes, and nobody waits for them."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

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
    """Half of the requests at each, and up to 2 % more; another caller has a limit of its own."""
    both = [await opened(server) for _ in range(2)]
    assert MOST <= await passed(both, "a", MOST + 20) <= MOST + 2
    assert await passed(both, "b", 5) == 5
    for limits in both:
        await limits.close()


async def test_count_when_asked_then_redis_hears_of_fifty_parts_of_a_limit(server: Server) -> None:
    """Once at first, and then at every second of 100: not at each of them, and of all."""
    limits = await opened(server)
    with redis.Redis.from_url(server.server.url) as client:
        assert await passed([limits], "z", 1) == 1  # Redis gets the script that counts
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert await passed([limits], "d", MOST) == MOST
        asked = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        (key,) = client.keys("*/d/*")
        assert (asked, int(client.get(key))) == (MOST // 2, MOST - 1)
    await limits.close()


async def test_count_when_it_was_used_up_elsewhere_then_little_is_left(server: Server) -> None:
    """Whoever goes to another worker finds his count there, but for what was not told: 1 of 100."""
    first, second = [await opened(server) for _ in range(2)]
    assert await passed([first], "e", MOST) == MOST
    assert await passed([second], "e", 20) == 1
    for limits in (first, second):
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
