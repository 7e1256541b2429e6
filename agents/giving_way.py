"""Work that nobody waits for begins a moment after its bar: those who trade share the processor.

A bar is decided within a tenth of a second. What reads along would be woken by the first of its
records, in the middle of it; a moment later all of them are there, and are one batch.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

MOMENT_S = 0.25

Fetched = dict[TopicPartition, list[ConsumerRecord]]


async def gathered(consumer: AIOKafkaConsumer, timeout_ms: int, max_records: int) -> Fetched:
    """Return what has come a moment after the first of it; at once while more lies in the log."""
    fetched: Fetched = await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
    n_room = max_records - sum(map(len, fetched.values()))
    if not fetched or n_room <= 0 or _is_behind(consumer, fetched):
        return fetched
    await asyncio.sleep(MOMENT_S)
    for place, records in (await consumer.getmany(max_records=n_room)).items():
        fetched.setdefault(place, []).extend(records)
    return fetched


def _is_behind(consumer: AIOKafkaConsumer, fetched: Fetched) -> bool:
    here = consumer.assignment()
    return any(
        records[-1].offset + 1 < (consumer.highwater(place) or 0)
        for place, records in fetched.items()
        if place in here
    )
