"""What a worker is told to serve with: its port, the keys of its callers, and Redis."""

from pathlib import Path

from streams.brokers import stack_id
from tables.stores.servers import redis


def auth_folder(home: Path) -> Path:
    """Return the folder of a stack's keys and revocations."""
    return home / "auth"


def serving_options(home: Path, port: int, pages_url: str) -> tuple[str, ...]:
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
        "--alone",
        *([f"--redis={server.url}"] if own else []),
    )
