"""The process of a role that keeps what topics say: logs, metrics, its end, its clients."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import start_http_server

from agents.cli.spoken import spoken_errors
from agents.log_lines import log_lines
from agents.loop_watch import loop_watched
from agents.run.workers import GIVES_WAY_NICE
from streams.brokers.given import await_broker
from streams.closed_connections import ask_again_when_closed
from streams.kafka_access import kafka
from streams.settings import Settings


class Clients(NamedTuple):
    """What such a process speaks to the broker with."""

    consumer: AIOKafkaConsumer
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient


@contextlib.asynccontextmanager
async def started(bootstrap: str, consumer: AIOKafkaConsumer) -> AsyncIterator[Clients]:
    """Start a consumer with a producer and an admin client beside it; stop all at the end."""
    producer = AIOKafkaProducer(**kafka(bootstrap), enable_idempotence=True)
    admin = AIOKafkaAdminClient(**kafka(bootstrap))
    async with contextlib.AsyncExitStack() as stack:
        # What never started is let go of, too.
        stack.push_async_callback(producer.stop)
        stack.push_async_callback(consumer.stop)
        stack.push_async_callback(admin.close)
        await producer.start()
        await consumer.start()
        await admin.start()
        yield Clients(consumer, producer, admin)


def run_role(
    bootstrap: str, serve: Callable[[], Coroutine[Any, Any, None]], metrics_port: int
) -> None:
    """Do the work of a role until it ends or SIGTERM cancels it.

    Parameters
    ----------
    bootstrap
        Kafka's address; a broker that is away is waited for.
    serve
        Its work; cancelled by SIGTERM, it stops what it started.
    metrics_port
        Port of /metrics; 0 for none.
    """
    os.nice(GIVES_WAY_NICE)
    ask_again_when_closed()
    settings = Settings.read()
    log_lines(settings)
    with (
        spoken_errors(),
        contextlib.suppress(asyncio.CancelledError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if metrics_port:
            start_http_server(metrics_port, settings.web_host)
        await_broker(bootstrap)
        runner.run(_until_told(serve()))


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with loop_watched():
        await task
