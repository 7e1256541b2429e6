"""Free TCP ports on loopback, outside the range from which the kernel serves outgoing calls."""

import secrets
import socket
from collections.abc import Container

from streams.errors import BrokerFailedError

# Linux hands out 32768 and above to clients; a port from there may be gone before it is bound.
_LOWEST = 20_000
_HIGHEST = 32_000
_TRIES = 200


def is_free(host: str, port: int) -> bool:
    """Return whether a server could bind the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a connection of an earlier server in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str, taken: Container[int] = ()) -> int:
    """Return a port that is free now and not in ``taken``; random, so that two stacks differ."""
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in taken and is_free(host, port):
            return port
    raise BrokerFailedError(
        f"None of {_TRIES} ports tried between {_LOWEST} and {_HIGHEST} is free on {host}."
        " End what listens there (`ss -ltn`), or name a free one with --port."
    )
