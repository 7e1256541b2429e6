"""A write to a connection that uvloop has closed is trouble of the network, and nothing else is."""

from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from streams.closed_connections import ask_again_when_closed

# As uvloop 0.23 says it.
CLOSED = "unable to perform operation on <TCPTransport closed=True 0x1>; the handler is closed"


class Client:
    """A client that answers, or raises."""

    def __init__(self, said: object) -> None:
        self.said = said

    async def send(self, node_id: int, request: object, *, group: int = 0) -> object:
        """Answer with what was asked."""
        if isinstance(self.said, Exception):
            raise self.said
        return (self.said, node_id, request, group)


async def send(said: object) -> Any:  # noqa: ANN401  an answer
    """Ask a client."""
    client = Client(said)
    ask_again_when_closed(cast("AIOKafkaClient", client))
    return await client.send(1, "request", group=2)


async def test_send_when_the_connection_was_closed_then_can_be_asked_again() -> None:
    """Aiokafka retries by this error, and looks for the brokers anew."""
    with pytest.raises(KafkaConnectionError, match="handler is closed") as raised:
        await send(RuntimeError(CLOSED))
    assert raised.value.retriable
    assert raised.value.invalid_metadata


async def test_send_when_it_answers_or_fails_otherwise_then_stays_as_it_is() -> None:
    """What is broken stays an error that ends the worker."""
    assert await send("answer") == ("answer", 1, "request", 2)
    with pytest.raises(RuntimeError, match="no such loop"):
        await send(RuntimeError("no such loop"))
