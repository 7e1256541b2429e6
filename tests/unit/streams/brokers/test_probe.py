"""Asking an address whether Kafka answers."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streams.brokers.probe import answers, split_address

# Size 8, then our correlation id, then the number of brokers.
_ONE_BROKER = struct.pack(">iii", 8, 0x7457, 1)
_NO_BROKER = struct.pack(">iii", 8, 0x7457, 0)
_OTHER_PROTOCOL = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@contextmanager
def _server(answer: bytes) -> Iterator[str]:
    """Serve one connection with fixed bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(5.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(_ONE_BROKER, True), (_NO_BROKER, False), (_OTHER_PROTOCOL, False), (b"\0\0", False)],
    ids=["one-broker", "no-broker-yet", "not-kafka", "cut-short"],
)
def test_answers_when_something_listens_then_only_a_ready_broker_counts(
    answer: bytes, *, expected: bool
) -> None:
    """A broker is ready when it answers our question and knows a broker of its cluster."""
    with _server(answer) as address:
        assert answers(address, timeout_s=2.0) is expected


def test_answers_when_nobody_listens_then_it_is_false() -> None:
    """A refused connection is an answer, not an error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    assert not answers(address, timeout_s=1.0)


@pytest.mark.parametrize("address", ["", "localhost", ":9092", "host:", "host:http", "host:٣"])
def test_split_address_when_host_or_port_is_missing_then_it_is_none(address: str) -> None:
    """Only host:port with a decimal port is an address."""
    assert split_address(address) is None
    assert not answers(address)
