"""Ask an address, in Kafka's own protocol, whether a broker that knows its cluster answers."""

import socket
import struct

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


def answers(address: str, *, timeout_s: float = _ANSWER_S) -> bool:
    """Return whether a Kafka broker at ``host:port`` names at least one broker of its cluster."""
    target = split_address(address)
    if target is None:
        return False
    try:
        with socket.create_connection(target, timeout=timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            _, correlation, n_brokers = _HEADER.unpack(_received(connection, _HEADER.size))
    except (OSError, EOFError, OverflowError):
        return False
    return bool(correlation == _CORRELATION and n_brokers > 0)


def _received(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return received
