"""``seek_to_committed()`` raises when a partition goes while it asks for the offsets.

``python aiokafka_seek_to_committed.py HOST:PORT [--with-change]`` exits 1 while the bug is there.
It makes a topic and a group of its own and takes 20 seconds.
"""

import argparse
import asyncio
import collections
import time
from importlib.metadata import version

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

N_PARTITIONS = 20
REBALANCES = 5


def apply_change() -> None:
    """Leave out what is not assigned any more, as proposed."""

    async def seek_to_committed(self):
        committed_offsets = {}
        for tp in self.assignment():
            offset = await self.committed(tp)
            if not self._subscription.is_assigned(tp):
                continue
            committed_offsets[tp] = offset
            if offset and offset > 0:
                self._fetcher.seek_to(tp, offset)
        return committed_offsets

    AIOKafkaConsumer.seek_to_committed = seek_to_committed


def member(servers: str, topic: str) -> AIOKafkaConsumer:
    """Return a member of the group."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=topic,
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
        session_timeout_ms=6_000,
    )


async def seek(consumer: AIOKafkaConsumer, said: collections.Counter) -> None:
    """Seek all the time, and count what comes of it."""
    while True:
        if not consumer.assignment():
            await asyncio.sleep(0.001)
            continue
        try:
            await consumer.seek_to_committed()
            said["fine"] += 1
        except Exception as error:
            said[f"{type(error).__name__}: {str(error).split('TopicPartition')[0]}"] += 1


async def play(servers: str) -> int:
    """Let one member seek while another one comes and goes."""
    topic = f"seek-{time.time_ns():x}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, N_PARTITIONS, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for partition in range(N_PARTITIONS):
        await producer.send_and_wait(topic, b"record", partition=partition)
    await producer.stop()
    stays = member(servers, topic)
    await stays.start()
    while len(stays.assignment()) < N_PARTITIONS:
        await asyncio.sleep(0.1)
    await stays.commit({TopicPartition(topic, p): 1 for p in range(N_PARTITIONS)})
    said: collections.Counter = collections.Counter()
    seeking = asyncio.create_task(seek(stays, said))
    for _ in range(REBALANCES):
        comes = member(servers, topic)
        await comes.start()
        await asyncio.sleep(1.0)
        await comes.stop()
        await asyncio.sleep(1.0)
    seeking.cancel()
    await asyncio.wait([seeking])
    await stays.stop()
    print(f"aiokafka {version('aiokafka')}")
    print(f"calls of seek_to_committed() during {REBALANCES} comings and goings:")
    for what, n in said.most_common():
        print(f"  {n:5d}  {what}")
    is_there = len(said) > 1
    print("the bug is there" if is_there else "mended")
    return int(is_there)


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
