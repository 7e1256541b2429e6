"""The floor of a decision that is asked for: two acknowledged hops by bare clients, open loop.

``ask -> topic -> read back -> topic -> acknowledged``, as a wish and its decision go, in a process
that does nothing else; the records have the size of a wish and of a decision.
"""

import asyncio
import json
import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.evidence.http_load import Load, Seen, open_loop, tell

_WISH_BYTES, _DECISION_BYTES = 1_500, 3_000


async def send(load: Load) -> Seen:
    """Pass each record over the two topics in ``urls``, whose first entry is the broker."""
    servers, wishes, decisions = load.urls
    await _create(servers, wishes, decisions)
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    consumer = AIOKafkaConsumer(wishes, bootstrap_servers=servers, auto_offset_reset="earliest")
    waiting: dict[bytes, asyncio.Future[None]] = {}

    async def decide() -> None:
        async for record in consumer:
            asyncio.create_task(answer(record.key))  # noqa: RUF006  the future below holds its end

    async def answer(key: bytes) -> None:
        await producer.send_and_wait(decisions, bytes(_DECISION_BYTES), key=key)
        waiting.pop(key).set_result(None)

    async def ask(number: int) -> str:
        key = str(number).encode()
        answered = waiting[key] = asyncio.get_running_loop().create_future()
        await producer.send(wishes, bytes(_WISH_BYTES), key=key)
        await answered
        return "acknowledged"

    async with producer, consumer:
        deciding = asyncio.create_task(decide())
        try:
            return await open_loop(load, ask)
        finally:
            deciding.cancel()


async def _create(servers: str, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1) for topic in topics])
    finally:
        await admin.close()


if __name__ == "__main__":
    tell(uvloop.run(send(Load(**json.load(sys.stdin)))))
