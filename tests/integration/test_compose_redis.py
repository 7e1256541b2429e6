"""The Redis of the compose file: its command and its rights, with what the program does with it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from agents.run.workers import free_port
from streams.brokers.waiting import wait_for
from tables.stores.feature_cache import FeatureCache
from tables.stores.servers import redis as servers
from tables.views.auth import Caller
from tables.views.call_limits import PER_MINUTE, CallLimits
from tables.views.problems import ProblemError
from tests.deployment import DOCKER, composed
from tests.integration.test_feature_cache import made

HOST = "127.0.0.1"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Run Redis as the compose file does, with secrets that are drawn now; give its address."""
    program = servers.installed()
    assert program is not None, "`make setup` installs the embedded Redis"
    folder, port = tmp_path / "secrets", free_port(HOST)
    code = f"import new_secrets, pathlib; new_secrets.main(pathlib.Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=DOCKER, check=True, capture_output=True)
    said = composed("dev")["services"]["redis"]["command"][1:]
    told = [word.replace("/run/secrets", str(folder)) for word in said]
    address = urlsplit((folder / "redis_url").read_text())
    found = address._replace(netloc=f"tradewind:{address.password}@{HOST}:{port}").geturl()
    running = subprocess.Popen(
        [program, *told, "--bind", HOST, "--port", str(port)],
        cwd=tmp_path,
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
    )
    server = servers.RedisServer(found, "given", "")
    assert wait_for(lambda: asyncio.run(server.answers()), timeout_s=servers.READY_S)
    yield found
    running.terminate()
    running.wait(30)


async def test_rights_when_the_program_uses_redis_then_are_enough(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are shared, and the counts of callers, by two processes under the drawn login."""
    # No minute ends in the middle of the test.
    monkeypatch.setattr("tables.views.call_limits.clock.wall_ns", lambda: 1_800_000_000 * 10**9)
    caches, limits = [FeatureCache(url), FeatureCache(url)], [CallLimits(url), CallLimits(url)]
    for each in (*caches, *limits):
        await each.open()
    assert [await made(cache) for cache in caches] == [True, False]
    most, passed = PER_MINUTE["admin"], 0
    for number in range(most + 20):
        with suppress(ProblemError):
            await limits[number % 2].count(Caller("ann", "a", "admin", ("*",), 2**40), "admin")
            passed += 1
    for each in (*caches, *limits):
        await each.close()
    # What a process has not told yet, 2 %, it may let a caller have beyond the limit.
    assert most <= passed <= 1.02 * most


async def test_rights_when_somebody_else_asks_then_are_none(url: str) -> None:
    """Strangers get no answer; the program's login empties nothing and changes no setting."""
    stranger = Redis.from_url(f"redis://{url.rpartition('@')[2]}")
    with pytest.raises(RedisError, match=r"(?i)authenticat"):
        await stranger.get("x")
    await stranger.aclose()
    own = Redis.from_url(url)
    for forbidden in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("ACL", "LIST")):
        with pytest.raises(NoPermissionError):
            await own.execute_command(*forbidden)
    await own.aclose()
