"""uvloop's word for a connection that was closed a moment ago, as aiokafka's own.

A broker that ends can close a connection between aiokafka's look at it and its write. asyncio's
transports drop what is written then; uvloop's raise a RuntimeError, which neither aiokafka's sender
nor its fetcher takes for trouble of the network: both would end, where they should ask again.
"""

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError


def ask_again_when_closed(client: AIOKafkaClient) -> None:
    """Let a client's requests fail with a retriable error where their connection is closed."""
    send = client.send

    async def sent(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  aiokafka's request and answer
        try:
            return await send(*args, **kwargs)
        except RuntimeError as error:
            if "closed" not in str(error):
                raise
            raise KafkaConnectionError(f"the connection was closed: {error}") from error

    client.send = sent
