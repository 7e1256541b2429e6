"""A write to a connection that uvloop has closed is trouble of the network, and nothing else is."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.closed_connections import ask_again_when_closed

METADATA = 3  # its key in the protocol
WRITES = {
    "request": lambda connection: connection.send(ApiVersionRequest()),
    "token": lambda connection: connection._send_sasl_token(b"token"),
}


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave aiokafka as it was, behind the test."""
    for name in ("send", "_send_sasl_token"):
        monkeypatch.setattr(AIOKafkaConnection, name, getattr(AIOKafkaConnection, name))
    ask_again_when_closed()


@asynccontextmanager
async def closed() -> AsyncIterator[AIOKafkaConnection]:
    """Yield a connection that was reset, as by a broker that is killed, and counts as connected."""

    async def nothing() -> None:
        """Ask for no versions: there is nobody to answer."""

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connection = AIOKafkaConnection("127.0.0.1", port, request_timeout_ms=1000)
        connection._do_version_lookup = nothing
        connection._versions = {METADATA: (0, 1)}
        await connection.connect()
        peer, _ = server.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await connection._closed_fut
        assert connection.connected()
        yield connection
        connection.close()


def on_uvloop(work: Callable[[], Any]) -> None:
    """Run on the loop that workers have."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


@pytest.mark.parametrize("what", list(WRITES))
def test_send_when_the_transport_was_closed_then_can_be_asked_again(what: str) -> None:
    """Aiokafka retries by this error, and opens another connection; it still took it for open."""

    async def work() -> None:
        async with closed() as connection:
            with pytest.raises(KafkaConnectionError, match="closed") as raised:
                await WRITES[what](connection)
            assert isinstance(raised.value.__cause__, RuntimeError)
            assert raised.value.retriable
            assert raised.value.invalid_metadata
            assert not connection.connected()

    on_uvloop(work)


def test_metadata_when_the_transport_was_closed_then_its_round_goes_on() -> None:
    """It writes past the client's `send`; were it to end, nobody would ever be told of it."""

    async def work() -> None:
        async with closed() as connection:
            client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
            client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection
            assert not await client._metadata_update(client.cluster, [])

    on_uvloop(work)


def test_send_when_it_fails_otherwise_then_stays_as_it_is() -> None:
    """What is broken stays an error that ends the worker."""

    class Broken(AIOKafkaConnection):
        """One whose requests cannot be made."""

        def _next_correlation_id(self) -> int:
            raise RuntimeError("no such loop")

    async def work() -> None:
        async with closed() as connection:
            connection.__class__ = Broken
            with pytest.raises(RuntimeError, match="no such loop"):
                await connection.send(ApiVersionRequest())

    on_uvloop(work)
