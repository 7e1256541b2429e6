"""The two peers of the chain: a bare aiokafka loop and stock Faust, passing the same records.

``python -m tests.evidence.peers bare|faust BOOTSTRAP PREFIX PAYLOADS`` runs one until it is told to
stop. Six hops as in the chain; a hop consumes a record and sends the record that our stage sent for
the same bar (captured bytes, same sizes, same partitions). Nothing is computed, and no state kept.
"""

import asyncio
import sys
from pathlib import Path

import faust
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

N_HOPS = 6

Queue = asyncio.Queue[list[ConsumerRecord]]


class Payloads(msgspec.Struct):
    """Per hop the slice of each partition; for the last hop the decisions of each partition."""

    slices: list[list[bytes]]
    decisions: list[list[bytes]]

    def of(self, hop: int, partition: int) -> list[bytes]:
        """Return what hop ``hop`` sends for a record of source partition ``partition``."""
        return self.decisions[partition] if hop == N_HOPS - 1 else [self.slices[hop][partition]]


def load(path: Path) -> Payloads:
    """Read the captured records."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Payloads)


def topic(prefix: str, hop: int) -> str:
    """Return the topic that hop ``hop`` reads; the last one holds the decisions."""
    return f"{prefix}hop{hop}"


def target(hop: int, partition: int) -> int:
    """Return the partition that a hop sends to: from prediction on there is one portfolio."""
    return 0 if hop >= N_HOPS - 2 else partition


async def bare(servers: str, prefix: str, payloads: Payloads) -> None:
    """Run the bare loop: one consumer and one producer, as the chain has, acks=all, idempotent.

    It has what the chain found useful: uvloop, a task per partition, outputs in built batches.
    """
    consumer = AIOKafkaConsumer(
        *(topic(prefix, hop) for hop in range(N_HOPS)),
        bootstrap_servers=servers,
        group_id=f"{prefix}bare",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=10,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, max_batch_size=1_000_000
    )
    await consumer.start()
    await producer.start()
    hops = {topic(prefix, hop): hop for hop in range(N_HOPS)}
    queues: dict[TopicPartition, Queue] = {}

    async def pass_on(hop: int, queue: Queue) -> None:
        while True:
            outputs = _outputs(producer, payloads, hop, await queue.get())
            sent = [
                await producer.send_batch(batch, topic(prefix, hop + 1), partition=partition)
                for partition, batch in outputs.items()
            ]
            await asyncio.gather(*sent)

    async with asyncio.TaskGroup() as tasks:
        while True:
            for place, records in (await consumer.getmany(timeout_ms=1000)).items():
                if place not in queues:
                    queues[place] = asyncio.Queue()
                    tasks.create_task(pass_on(hops[place.topic], queues[place]))
                queues[place].put_nowait(records)


def _outputs(
    producer: AIOKafkaProducer, payloads: Payloads, hop: int, records: list[ConsumerRecord]
) -> dict[int, BatchBuilder]:
    """Return what a hop sends for records, a batch for each partition."""
    batches: dict[int, BatchBuilder] = {}
    for record in records:
        source = int(dict(record.headers)["source"])
        batch = batches.setdefault(target(hop, source), producer.create_batch())
        for value in payloads.of(hop, source):
            headers = list(record.headers)
            if not batch.append(timestamp=None, key=None, value=value, headers=headers):
                raise OverflowError(f"hop {hop} says more than a batch of a request holds")
    return batches


def stock(servers: str, prefix: str, payloads: Payloads) -> None:
    """Run the same six hops as agents of stock Faust, with its own settings."""
    app = faust.App(
        f"{prefix}stock",
        broker=f"kafka://{servers}",
        store="memory://",
        value_serializer="raw",
        topic_partitions=2,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    for hop in range(N_HOPS):
        _add_hop(app, prefix, payloads, hop)
    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()


def _add_hop(app: faust.App, prefix: str, payloads: Payloads, hop: int) -> None:
    source = app.topic(topic(prefix, hop), key_type=bytes, value_type=bytes, value_serializer="raw")
    sink = app.topic(topic(prefix, hop + 1), value_type=bytes, value_serializer="raw")

    async def pass_on(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            origin = int(event.headers["source"])
            for value in payloads.of(hop, origin):
                await sink.send(
                    value=value, partition=target(hop, origin), headers=dict(event.headers)
                )

    app.agent(source, name=f"hop{hop}")(pass_on)


def main(kind: str, servers: str, prefix: str, path: str) -> None:
    """Run one peer."""
    payloads = load(Path(path))
    if kind == "bare":
        uvloop.run(bare(servers, prefix, payloads))
    else:
        stock(servers, prefix, payloads)


if __name__ == "__main__":
    main(*sys.argv[1:])
