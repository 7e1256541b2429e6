"""Batches that are small on their way and very large when they are read, on a real broker."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from streams.topics import MARKET_TICKS
from tests.integration.small_app import created

pytestmark = pytest.mark.broker


async def _sent(producer: AIOKafkaProducer, topic: str, n_records: int) -> None:
    """Send records of 300 kB that hold nothing, as one batch."""
    batch = producer.create_batch()
    for _ in range(n_records):
        assert batch.append(key=b"A", value=b"[" + b"{}," * 99_999 + b"{}]", timestamp=None)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=0))


@pytest.mark.parametrize("kind", ["gzip", "lz4", "zstd"])
async def test_ticks_when_a_batch_is_a_bomb_then_the_broker_refuses_it(
    broker: str, kind: str
) -> None:
    """What a reader has to take is bounded, not what goes over the wire; what is small is taken."""
    settings = MARKET_TICKS.settings()
    await created(broker, f"bombs-{kind}", config=settings)
    await created(broker, f"taken-{kind}", config=settings | {"compression.type": "producer"})
    async with AIOKafkaProducer(
        bootstrap_servers=broker, compression_type=kind, max_batch_size=1 << 25
    ) as producer:
        await _sent(producer, f"bombs-{kind}", 2)
        await _sent(producer, f"taken-{kind}", 20)
        with pytest.raises(MessageSizeTooLargeError):
            await _sent(producer, f"bombs-{kind}", 20)
