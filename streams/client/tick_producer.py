"""Send ticks: checked before they leave, in order, each once, and never more than fit.

A tick is looked at with the eyes of the stage that will read it, so what it would refuse for the
tick's own sake is refused here, at once. What depends on the run (an unknown symbol, a tick that is
too late) becomes a dead letter there.
"""

import asyncio
import ssl
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaProducer

from streams.access import PLAIN, Access
from streams.client.errors import NotDeliveredError
from streams.errors import RecordError
from streams.records import Tick, read_json
from streams.timestamps import parse_ns
from streams.topics import MARKET_TICKS

_LINGER_MS = 2

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Tick)


def tick_value(tick: Tick) -> bytes:
    """Return a tick as it is on the wire.

    Raises
    ------
    RecordError
        If it cannot be a market event: the reason's code, the field, its value and what was
        expected.
    """
    try:
        value = _ENCODER.encode(tick)
    except (TypeError, ValueError) as error:
        raise RecordError("WRONG_TYPE", str(error)) from error
    # Types by what arrives; values by what was given, since JSON would make a NaN a null.
    parse_ns(read_json(_DECODER, value).ts_event)
    tick.check()
    return value


class TickProducer:
    """Sends ticks; an asynchronous context manager.

    Promised: ticks of a symbol arrive in the order in which they were sent, in the symbol's home
    partition, and each once as long as this producer lives (idempotent producer, acks=all). What
    the broker did not take is raised by the next ``send`` or ``flush``, at the latest at the end.

    Parameters
    ----------
    servers
        Kafka's address, ``host:port``.
    topic
        Where ticks go; that of the live run.
    most_waiting
        How many ticks may wait for the broker; ``send`` waits while there are as many.
    tls
        How to encrypt; None for plain text.
    access
        How to log in, in place of ``tls``.
    """

    def __init__(
        self,
        servers: str,
        topic: str = MARKET_TICKS.name,
        *,
        most_waiting: int = 10_000,
        tls: ssl.SSLContext | None = None,
        access: Access = PLAIN,
    ) -> None:
        self._servers = servers
        self._topic = topic
        self._access = Access("SSL", tls) if tls else access
        self._room = asyncio.Semaphore(most_waiting)
        self._producer: AIOKafkaProducer | None = None
        self._n_failed = 0
        self._first: BaseException | None = None

    async def __aenter__(self) -> Self:
        """Connect."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            enable_idempotence=True,
            linger_ms=_LINGER_MS,
            **self._access.options(),
        )
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def send(self, tick: Tick) -> None:
        """Hand a tick over; it is on its way when this returns, and with the broker after a flush.

        Raises
        ------
        RecordError
            If the tick cannot be a market event; nothing was sent.
        NotDeliveredError
            If the broker refused one that was handed over before; this one was not sent.
        """
        value = tick_value(tick)
        self._raise_refused()
        await self._room.acquire()
        try:
            sent = await self._open().send(self._topic, value, key=tick.symbol.encode())
        except BaseException:
            self._room.release()
            raise
        sent.add_done_callback(self._settled)

    async def flush(self) -> None:
        """Wait until the broker has every tick.

        Raises
        ------
        NotDeliveredError
            If it refused some.
        """
        await self._open().flush()
        self._raise_refused()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the broker and close; what it refused is raised unless another error is."""
        await self._open().stop()
        if error is None:
            self._raise_refused()

    def _settled(self, sent: "asyncio.Future[object]") -> None:
        self._room.release()
        refused = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if refused is not None:
            self._n_failed += 1
            self._first = self._first or refused

    def _raise_refused(self) -> None:
        if self._first is not None:
            error = NotDeliveredError(self._n_failed, self._first)
            self._n_failed, self._first = 0, None
            raise error

    def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("use it as: async with TickProducer(...) as ticks")
        return self._producer
