"""Choosing ports."""

import socket

import pytest

from streams.brokers import ports
from streams.brokers.ports import free_port, is_free
from streams.errors import BrokerFailedError


def test_is_free_when_a_server_listens_then_it_is_false() -> None:
    """A port on which somebody listens is not offered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free("127.0.0.1", server.getsockname()[1])


def test_free_port_when_asked_then_it_lies_below_the_kernels_own_range() -> None:
    """Outgoing connections of other programs cannot take the port before the broker does."""
    assert 20_000 <= free_port("127.0.0.1") < 32_000


def test_free_port_when_every_port_is_taken_then_the_error_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The person who reads the error learns how to name a port."""
    monkeypatch.setattr(ports, "is_free", lambda _host, _port: False)
    with pytest.raises(BrokerFailedError, match="--port"):
        free_port("127.0.0.1")
