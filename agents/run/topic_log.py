"""A partition as a person at the terminal reads it: from an offset to its end of now."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import OffsetOutOfRangeError

from streams.errors import TopicError
from streams.kafka_access import kafka

_POLL_MS = 500


@asynccontextmanager
async def reading(servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer that commits nothing, and goes on nowhere where its records are gone."""
    consumer = AIOKafkaConsumer(
        **kafka(servers), enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    await asyncio.sleep(0)  # a task of the consumer that never ran cannot be stopped
    try:
        yield consumer
    finally:
        await consumer.stop()


async def partitions(servers: str, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic, none where there is no such topic."""
    admin = AIOKafkaAdminClient(**kafka(servers))
    await admin.start()
    try:
        if topic not in await admin.list_topics():
            return []
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in range(len(found["partitions"]))]


async def records(
    consumer: AIOKafkaConsumer, place: TopicPartition, begin: int = 0
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the records of a partition from an offset to its present end.

    Raises
    ------
    TopicError
        If some of them are deleted before they are read.
    """
    end = (await consumer.end_offsets([place]))[place]
    first = (await consumer.beginning_offsets([place]))[place]
    begin = max(begin, first)
    if begin >= end:
        return  # a consumer that is assigned and never asked does not stop
    consumer.assign([place])
    consumer.seek(place, begin)
    at = begin
    while at < end:
        try:
            fetched = await consumer.getmany(place, timeout_ms=_POLL_MS)
            at = await consumer.position(place)
        except OffsetOutOfRangeError:
            raise TopicError(
                f"{place.topic}:{place.partition} was read up to offset {at}; its records from "
                "there on were deleted meanwhile"
            ) from None
        for said in fetched.get(place, []):
            if said.offset < end:
                yield said
