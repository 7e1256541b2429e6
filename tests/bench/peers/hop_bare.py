"""The floor: aiokafka's ``getmany`` and ``send``, JSON in and out, offsets behind the sends."""

import asyncio
import json
import os
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main(servers: str, source: str, sink: str) -> None:
    """Pass events on until the process is ended."""
    consumer: Any = AIOKafkaConsumer(
        source,
        bootstrap_servers=servers,
        group_id=f"{source}-bare",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=1_000,
    )
    producer: Any = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
    await consumer.start()
    await producer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=1_000)
        pending = []
        for records in fetched.values():
            for record in records:
                event = json.loads(record.value)
                event["notional"] = event["close"] * event["volume"]
                value = json.dumps(event).encode()
                pending.append(await producer.send(sink, value, record.key))
        await asyncio.gather(*pending)
        if fetched:
            await consumer.commit()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    asyncio.run(main(*sys.argv[1:]))
