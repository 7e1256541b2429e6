"""Which PostgreSQL is used, and how an own one is called."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tables.stores.errors import StoreUnavailable
from tables.stores.servers import postgres


def test_server_when_a_url_is_given_then_is_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given database is used as it is, and its password is not spoken."""
    monkeypatch.setenv("DATABASE_URL", " postgresql://me:secret@db:5432/x ")
    server = postgres.server_of(Path("/home/stack"))
    assert (server.url, server.provider) == ("postgresql://me:secret@db:5432/x", "given")
    assert server.spoken == "postgresql://me:***@db:5432/x"


def test_server_when_none_is_given_then_is_a_socket_of_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedded server is reached by a socket in the stack's own folder."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = postgres.server_of(Path("/home/stack"))
    assert server.provider == "embedded"
    assert parse_qs(urlsplit(server.url).query) == {"host": ["/home/stack/postgres"]}


def test_socket_when_the_home_is_deep_then_is_elsewhere_and_the_homes_own() -> None:
    """The kernel takes 107 bytes of a socket's path; two deep homes do not share a socket."""
    deep = Path("/" + "d" * 120)
    folder = postgres.socket_folder(deep)
    assert len(str(folder / ".s.PGSQL.5432.lock")) <= 107
    assert folder != postgres.socket_folder(deep / "other")


def test_prepared_when_the_package_is_missing_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker's installation has no database of its own."""
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with pytest.raises(StoreUnavailable, match=r"DATABASE_URL is not set .*make setup"):
        postgres.prepared(tmp_path)


def test_prepared_when_the_program_fails_then_leaves_no_half_made_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What initdb began is not taken for a database at the next start."""
    broken = tmp_path / "bin"
    broken.mkdir()
    program = broken / "initdb"
    program.write_text("#!/bin/sh\necho no space left >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(postgres, "installed", lambda: broken)
    with pytest.raises(StoreUnavailable, match="ended with 3: no space left"):
        postgres.prepared(tmp_path / "home")
    assert not postgres.data_folder(tmp_path / "home").exists()


async def test_answers_when_nobody_listens_then_is_false(tmp_path: Path) -> None:
    """An absent server is a state, not an error."""
    server = postgres.PostgresServer(f"postgresql://u@/d?host={tmp_path}", "given", "")
    assert not await server.answers()
