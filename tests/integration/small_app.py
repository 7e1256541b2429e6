"""A small Faust app on our transport and table, run inside the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.transport import Batch, BatchSchema, Outgoing, Record

PARTITIONS = 2


async def created(servers: str, *names: str, config: dict[str, str] | None = None) -> None:
    """Create topics of two partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(name, PARTITIONS, 1, topic_configs=config) for name in names]
        )
        assert all(code == 0 for _, code, *_ in answer.topic_errors), answer
    finally:
        await admin.close()


def small_app(servers: str, name: str, data: Path) -> faust.App:
    """Return an app with the settings of a worker as far as a test needs them."""
    return faust.App(
        name,
        broker=f"tradewind://{servers}",
        store="rocksdb://",
        datadir=str(data),
        Table="tables.stamped:StampedTable",
        TableManager="tables.recovery:ReadyTables",
        autodiscover=False,
        cython_optimizations=True,
        key_serializer="raw",
        value_serializer="raw",
        broker_commit_interval=0.2,
        broker_session_timeout=10.0,
        broker_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        producer_max_batch_size=1_000_000,
        producer_max_request_size=1 << 24,
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
    )


def batches(app: faust.App, topic: str) -> Any:  # noqa: ANN401  Faust's topic
    """Return a topic whose agent gets batches, as a stage does."""
    schema = BatchSchema(key_type=bytes, value_type=bytes)
    return app.topic(topic, schema=schema, acks=False)


@asynccontextmanager
async def running(app: faust.App) -> AsyncIterator[None]:
    """Run the app until its tables are recovered and its agents read; stop it at the end."""
    app.loop = asyncio.get_running_loop()
    app.finalize()
    await app.start()
    try:
        async with asyncio.timeout(60.0):
            await app.tables.recovery.completed.wait()
        yield
    finally:
        await app.stop()


async def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until something holds; fail if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110  another thread changes it, without an event
            await asyncio.sleep(0.02)


class Taken:
    """An agent that keeps what it was given, and says only what it is told to as progress."""

    def __init__(self, app: faust.App, topic: str) -> None:
        self.app = app
        self.events: list[Any] = []
        app.agent(batches(app, topic), name="taker")(self.run)

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Keep every batch."""
        async for event in stream.events():
            assert isinstance(event.value, Batch)
            self.events.append(event)

    def records(self, partition: int) -> list[Record]:
        """Return the records of one partition as they came."""
        return [
            record
            for event in self.events
            if event.message.partition == partition
            for record in event.value
        ]


@asynccontextmanager
async def taking(servers: str, topic: str, data: Path) -> AsyncIterator[Taken]:
    """Run an app that takes one topic."""
    app = small_app(servers, f"{topic}-app", data)
    taken = Taken(app, topic)
    async with running(app):
        yield taken


def outgoing(topic: str, n: int, size: int = 0) -> list[Outgoing]:
    """Return numbered records that alternate between the partitions."""
    return [
        Outgoing(topic, b"k", b"%07d" % i + bytes(size), [("n", b"%d" % i)], i % 2)
        for i in range(n)
    ]
