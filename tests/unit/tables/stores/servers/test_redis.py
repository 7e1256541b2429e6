"""Which Redis a stack uses, and with what it is started."""

from pathlib import Path

import pytest

from tables.stores.errors import StoreUnavailable
from tables.stores.servers import redis


def test_server_when_given_then_is_that_one_and_its_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable wins; the password stays out of messages."""
    monkeypatch.setenv(redis.VARIABLE, "redis://:secret@cache:6379/0")
    server = redis.server_of(tmp_path)
    assert (server.provider, server.url) == ("given", "redis://:secret@cache:6379/0")
    assert "secret" not in server.spoken
    assert redis.is_usable(tmp_path)
    assert redis.shared_url(tmp_path) == server.url


def test_server_when_not_given_then_is_the_stacks_own_on_a_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under the home where the path is short enough, else in the temporary folder."""
    monkeypatch.delenv(redis.VARIABLE, raising=False)
    server = redis.server_of(tmp_path)
    assert server.provider == "embedded"
    assert server.url.startswith("unix://")
    long = redis.server_of(tmp_path / ("x" * 100))
    assert len(long.url.removeprefix("unix://")) <= 107


def test_prepared_when_the_package_is_missing_then_says_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Install the one or give the other."""
    monkeypatch.setattr(redis, "PACKAGE", "no_such_package")
    monkeypatch.delenv(redis.VARIABLE, raising=False)
    with pytest.raises(StoreUnavailable, match="REDIS_URL is not set"):
        redis.prepared(tmp_path)
    assert redis.shared_url(tmp_path) == ""


async def test_server_when_nothing_listens_then_does_not_answer(tmp_path: Path) -> None:
    """A state, not an error."""
    server = redis.RedisServer(f"unix://{tmp_path}/none.sock", "embedded", "")
    assert not await server.answers()
