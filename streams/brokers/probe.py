"""Ask an address, in Kafka's own protocol, whether a broker that knows its cluster answers."""

import socket
import struct
from contextlib import ExitStack

from streams.access import PLAIN, Access

# Metadata, version 1: the oldest that Kafka 4 answers and one that every broker since 0.10 knows.
_METADATA = 3
_VERSION = 1
_CORRELATION = 0x7457
_CLIENT = b"tradewind"
# No topics asked for: an empty list, so that the answer holds brokers only.
_REQUEST = struct.pack(
    f">hhih{len(_CLIENT)}si", _METADATA, _VERSION, _CORRELATION, len(_CLIENT), _CLIENT, 0
)
_HEADER = struct.Struct(">iii")  # size of what follows, correlation id, number of brokers

# Versions of the protocol, version 0: all that may be asked before a login.
_VERSIONS_REQUEST = struct.pack(f">hhih{len(_CLIENT)}s", 18, 0, _CORRELATION, len(_CLIENT), _CLIENT)
_VERSIONS_HEADER = struct.Struct(">iih")  # size of what follows, correlation id, error
_ANSWER_S = 2.0


def split_address(address: str) -> tuple[str, int] | None:
    """Return host and port of ``host:port``, None if it is something else.

    Examples
    --------
    >>> split_address("127.0.0.1:9092")
    ('127.0.0.1', 9092)
    >>> split_address("[::1]:9092")
    ('::1', 9092)
    """
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        return None
    return host.strip("[]"), int(port)


def answers(address: str, *, timeout_s: float = _ANSWER_S, access: Access = PLAIN) -> bool:
    """Return whether a Kafka broker at ``host:port`` names at least one broker of its cluster.

    One that wants a login is asked for its versions only, because it says no more before that.
    """
    target = split_address(address)
    if target is None:
        return False
    try:
        with ExitStack() as stack:
            plain = stack.enter_context(socket.create_connection(target, timeout=timeout_s))
            connection = plain
            if access.tls is not None:
                encrypted = access.tls.wrap_socket(plain, server_hostname=target[0])
                connection = stack.enter_context(encrypted)
            if access.mechanism:
                _, correlation, error = _asked(connection, _VERSIONS_REQUEST, _VERSIONS_HEADER)
                return bool(correlation == _CORRELATION and error == 0)
            _, correlation, n_brokers = _asked(connection, _REQUEST, _HEADER)
    except (OSError, EOFError, OverflowError):
        return False
    return bool(correlation == _CORRELATION and n_brokers > 0)


def _asked(connection: socket.socket, request: bytes, header: struct.Struct) -> tuple[int, ...]:
    connection.sendall(struct.pack(">i", len(request)) + request)
    return header.unpack(_received(connection, header.size))


def _received(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return received
