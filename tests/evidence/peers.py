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
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

N_HOPS = 6


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
    """Run the bare loop: one consumer and one producer, as the chain has, acks=all, idempotent."""
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
    while True:
        fetched = await consumer.getmany(timeout_ms=1000)
        for partition, records in fetched.items():
            hop = hops[partition.topic]
            pending = []
            for record in records:
                source = int(dict(record.headers)["source"])
                pending.extend(
                    [
                        await producer.send(
                            topic(prefix, hop + 1),
                            value,
                            partition=target(hop, source),
                            headers=list(record.headers),
                        )
                        for value in payloads.of(hop, source)
                    ]
                )
            await asyncio.gather(*pending)


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
        asyncio.run(bare(servers, prefix, payloads))
    else:
        stock(servers, prefix, payloads)


if __name__ == "__main__":
    main(*sys.argv[1:])
