"""What a worker is told to serve with: its port, the keys of its callers, and Redis."""

from pathlib import Path
from typing import NamedTuple

from streams.brokers import stack_id
from tables.stores.entry_codes import EntryCodes
from tables.stores.servers import redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import ALL_PORTFOLIOS, issue
from tables.views.entrance import entry_path

# Callers reach the role that lets models learn through a worker of the same machine, which speaks
# TLS to others where that is set.
LEARNING_HOST = "127.0.0.1"


def auth_folder(home: Path) -> Path:
    """Return the folder of a stack's keys and revocations."""
    return home / "auth"


class Others(NamedTuple):
    """Where the roles listen that answer what workers and pages pass on; empty where none does."""

    learning_url: str = ""
    rollout_url: str = ""

    def options(self) -> tuple[str, ...]:
        """Return the options of those that pass on."""
        urls = zip(self._fields, self, strict=True)
        return tuple(f"--{name.replace('_', '-')}={url}" for name, url in urls if url)


NOBODY = Others()


def pages_options(home: Path, api_url: str, others: Others = NOBODY) -> tuple[str, ...]:
    """Return the options of the pages that answer programs too."""
    return (
        f"--auth={auth_folder(home)}",
        f"--stack={stack_id(home)}",
        f"--api-url={api_url}",
        f"--home={home}",
        *others.options(),
    )


class DemoAccess(NamedTuple):
    """What a demo prints: a token for programs, and the path that lets its reader in once."""

    token: str
    path: str


def demo_access(home: Path) -> DemoAccess:
    """Let in whoever looks at a demo: for a day, all portfolios, no administrator."""
    folder = auth_folder(home)
    of_all = [ALL_PORTFOLIOS]
    token, issued = issue(TokenKeys(folder), stack_id(home), "demo", "researcher", of_all, days=1)
    return DemoAccess(token, entry_path(EntryCodes(folder).issue(issued)))


def serving_options(
    home: Path, port: int, pages_url: str, others: Others = NOBODY
) -> tuple[str, ...]:
    """Return the options of the one worker of a stack, whose API listens at a port.

    A given Redis is found by its variable: an address may hold a password, which the command line
    would show to every user.
    """
    server = redis.server_of(home)
    own = server.provider == "embedded" and redis.installed() is not None
    return (
        f"--api-port={port}",
        f"--auth={auth_folder(home)}",
        f"--stack={stack_id(home)}",
        f"--pages-url={pages_url}",
        *others.options(),
        "--alone",
        *([f"--redis={server.url}"] if own else []),
    )
