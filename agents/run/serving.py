"""What a worker is told to serve with: its port, the keys of its callers, and Redis."""

from pathlib import Path

from streams.brokers import stack_id
from tables.stores.servers import redis
from tables.stores.token_keys import TokenKeys
from tables.views.auth import ALL_PORTFOLIOS, issue


def auth_folder(home: Path) -> Path:
    """Return the folder of a stack's keys and revocations."""
    return home / "auth"


def pages_options(home: Path, api_url: str) -> tuple[str, ...]:
    """Return the options of the pages that answer programs too."""
    return (
        f"--auth={auth_folder(home)}",
        f"--stack={stack_id(home)}",
        f"--api-url={api_url}",
        f"--home={home}",
    )


def demo_token(home: Path) -> str:
    """Issue a token for whoever looks at a demo: a day, all portfolios, no administrator."""
    keys = TokenKeys(auth_folder(home))
    return issue(keys, stack_id(home), "demo", "researcher", [ALL_PORTFOLIOS], days=1)[0]


def serving_options(
    home: Path, port: int, pages_url: str, learning_url: str = ""
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
        *([f"--learning-url={learning_url}"] if learning_url else []),
        "--alone",
        *([f"--redis={server.url}"] if own else []),
    )
