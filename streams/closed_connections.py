"""uvloop's word for a connection that was closed a moment ago, as aiokafka's own.

A broker that ends can close a connection between aiokafka's look at it and its write. asyncio's
transports drop what is written then; uvloop's raise a RuntimeError, which nothing in aiokafka takes
for trouble of the network: its sender, its fetcher, its heartbeat or its round of metadata would
end, where they should ask again. Of the last two nobody hears.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError


def _retriable(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def written(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as aiokafka's
        try:
            return write(self, *args, **kwargs)
        except KafkaError:  # is a RuntimeError, and says what it has to say
            raise
        except RuntimeError as error:
            if "handler is closed" not in str(error):
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"the connection was closed: {error}") from error

    return written


_send = _retriable(AIOKafkaConnection.send)
_send_sasl_token = _retriable(AIOKafkaConnection._send_sasl_token)  # noqa: SLF001  no public name


def ask_again_when_closed() -> None:
    """Let requests fail with a retriable error where their connection is closed.

    It holds for all connections of the process: aiokafka makes them wherever it needs one.
    """
    AIOKafkaConnection.send = _send
    AIOKafkaConnection._send_sasl_token = _send_sasl_token  # noqa: SLF001  no public name
