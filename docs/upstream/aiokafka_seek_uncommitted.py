"""``seek_to_committed()`` does nothing where nothing, or the first offset, was committed.

``python aiokafka_seek_uncommitted.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It
makes a topic and a group of its own and takes a few seconds.
"""

import argparse
import asyncio
import time
from importlib.metadata import version

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

N_RECORDS = 10


def apply_change() -> None:
    """Let the reset policy choose where nothing was committed, as proposed."""

    async def seek_to_committed(self, *partitions):
        committed_offsets = {}
        for tp in partitions or self.assignment():
            offset = await self.committed(tp)
            committed_offsets[tp] = offset
            if offset is not None:
                self._fetcher.seek_to(tp, offset)
            else:
                await self.seek_to_beginning(tp)  # what auto_offset_reset="earliest" says
        return committed_offsets

    AIOKafkaConsumer.seek_to_committed = seek_to_committed


async def read(consumer: AIOKafkaConsumer) -> int:
    """Return how many records come within two seconds."""
    n_read, until_s = 0, time.monotonic() + 2.0
    while time.monotonic() < until_s:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            n_read += len(records)
    return n_read


async def play(servers: str) -> int:
    """Read all without a commit, seek to what was committed, and read again."""
    topic = f"uncommitted-{time.time_ns():x}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for _ in range(N_RECORDS):
        await producer.send_and_wait(topic, b"record", partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=topic,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    print(f"aiokafka {version('aiokafka')}")
    n_missing = 0
    for what, offset in (("nothing", None), ("offset 0", 0)):
        if offset is not None:
            await consumer.commit({TopicPartition(topic, 0): offset})
        await consumer.seek_to_beginning()
        n_first = await read(consumer)
        await consumer.seek_to_committed()
        n_again = await read(consumer)
        print(f"committed: {what}; read {n_first} records, after seek_to_committed() {n_again}")
        n_missing += n_first - n_again
    await consumer.stop()
    print("the bug is there" if n_missing else "mended")
    return int(n_missing > 0)


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    if options.with_change:
        apply_change()
    return asyncio.run(play(options.servers))


if __name__ == "__main__":
    raise SystemExit(main())
