"""Faust drops what a fetch brings of a partition that was paused meanwhile, and reads on behind it.

``python faust_paused_fetch.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It makes
a topic and a group of its own, and takes some 20 seconds.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.transport.consumer import Consumer, ThreadDelegateConsumer

# Sent before the pause, during it and behind it.
N = 5


def apply_change() -> None:
    """Ask for a set that nobody changes while the fetch is under way, as proposed."""
    getmany, wait_next_records = ThreadDelegateConsumer._getmany, Consumer._wait_next_records

    async def getmany_of_a_copy(self, active_partitions, timeout):
        self.asked_for = set(active_partitions)
        return await getmany(self, self.asked_for, timeout)

    async def next_records_of_a_copy(self, timeout):
        records, active_partitions = await wait_next_records(self, timeout)
        return records, self.asked_for if records else active_partitions

    ThreadDelegateConsumer._getmany = getmany_of_a_copy
    Consumer._wait_next_records = next_records_of_a_copy


async def until(is_so: Callable[[], bool], patience_s: float) -> bool:
    """Wait until it is so, or for as long as one is patient; tell whether it is."""
    ends = time.monotonic() + patience_s
    while not is_so() and time.monotonic() < ends:
        await asyncio.sleep(0.05)
    return is_so()


async def send(producer: AIOKafkaProducer, topic: str) -> None:
    """Append records to the topic's only partition."""
    for _ in range(N):
        await producer.send_and_wait(topic, b"x", partition=0)


async def play(servers: str, topic: str, folder: str) -> int:
    """Pause a partition while its fetch waits, send to it, and let it go on."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    app = faust.App(
        topic,
        broker=f"kafka://{servers}",
        value_serializer="raw",
        topic_partitions=1,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=folder,
    )
    read: list[int] = []

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"))
    async def reader(stream):
        async for event in stream.events():
            offset = event.message.offset
            read.append(offset)

    app.loop = asyncio.get_running_loop()
    app.finalize()
    await app.start()
    try:
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
            await send(producer, topic)
            if not await until(lambda: len(read) == N, 30):
                print(f"{len(read)} of {N} records came: the run says nothing")
                return 2
            consumer = app.consumer
            places = consumer.assignment()
            await asyncio.sleep(0.5)  # a fetch of a second waits again
            consumer.pause_partitions(places)
            await send(producer, topic)
            await asyncio.sleep(3)
            consumer.resume_partitions(places)
            await send(producer, topic)
            await until(lambda: 3 * N - 1 in read, 10)
    finally:
        await app.stop()
    lost = [offset for offset in range(3 * N) if offset not in read]
    print(f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}")
    print(f"sent while the partition was paused: {list(range(N, 2 * N))}")
    print(f"never read: {lost}")
    if 3 * N - 1 not in read:
        print("the last record did not come: the run says nothing")
        return 2
    print("the bug is there: the records are lost" if lost else "mended")
    return int(bool(lost))


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    if options.with_change:
        apply_change()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(play(options.servers, f"paused-fetch-{time.time_ns():x}", folder))


if __name__ == "__main__":
    raise SystemExit(main())
