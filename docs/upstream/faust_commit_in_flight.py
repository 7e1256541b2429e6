"""Faust commits past the oldest message that is still being processed, and loses it by a restart.

``python faust_commit_in_flight.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It
makes a topic and a group of its own, kills a worker of its own, and takes 40 seconds.
"""

import argparse
import asyncio
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from typing import Self

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.transport.consumer import Consumer

QUICK_BEFORE = 10
SLOW = QUICK_BEFORE  # the offset of the record that takes long
QUICK_AFTER = 3


def apply_change() -> None:
    """Cut what may be committed at the oldest message in flight, as proposed."""
    new_offset = Consumer._new_offset

    def capped(self, tp):
        offset = new_offset(self, tp)
        if offset is None:
            return None
        in_flight = [m.offset for m in self._unacked_messages if m.tp == tp and not m.acked]
        if not in_flight or offset <= min(in_flight):
            return offset
        # What was taken from the list of acknowledged offsets is to be committed later.
        self._acked[tp][:0] = range(min(in_flight) + 1, offset)
        self._acked_index[tp].update(range(min(in_flight) + 1, offset))
        return min(in_flight)

    Consumer._new_offset = capped


def work(servers: str, topic: str) -> None:
    """Be the worker: an agent of two actors; ``slow`` takes a minute, all else no time."""
    app = faust.App(
        topic,
        broker=f"kafka://{servers}",
        value_serializer="raw",
        topic_partitions=1,
        topic_disable_leader=True,
        web_enabled=False,
        broker_commit_interval=0.3,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        stream_wait_empty=False,
    )

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), concurrency=2)
    async def read(stream):
        async for event in stream.events():
            # A line of its own: mode puts codes of the terminal in front of the first one.
            print("\nbegun", event.message.offset, flush=True)
            if event.value == b"slow":
                await asyncio.sleep(60)
            print("done", event.message.offset, flush=True)

    faust.Worker(
        app, loglevel="ERROR", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()


class Worker:
    """A worker's process, what it said, and its end by SIGKILL."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.said.append(line.strip())

    async def until(self, line: str, patience_s: float = 40) -> None:
        """Wait until it says so, or for as long as one is patient."""
        ends = time.monotonic() + patience_s
        while line not in self.said and time.monotonic() < ends:
            await asyncio.sleep(0.1)


async def committed(servers: str, group: str) -> int | None:
    """Return the group's offset, as any other client sees it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        tp = TopicPartition(group, 0)
        consumer.assign([tp])
        return await consumer.committed(tp)
    finally:
        await consumer.stop()


async def until(servers: str, group: str, least: int, patience_s: float) -> int | None:
    """Wait until the group has committed ``least``, or for as long as one is patient."""
    ends = time.monotonic() + patience_s
    found = await committed(servers, group)
    while (found or 0) < least and time.monotonic() < ends:
        await asyncio.sleep(0.3)
        found = await committed(servers, group)
    return found


async def send(servers: str, topic: str, values: list[bytes]) -> None:
    """Append records to the topic's only partition."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)
    await producer.stop()


async def play(servers: str, topic: str, command: list[str]) -> int:
    """Let one record take long while later ones are done; kill the worker; start it again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    with Worker(command) as first:
        await send(servers, topic, [b"quick"] * QUICK_BEFORE)
        before = await until(servers, topic, QUICK_BEFORE, 30)
        await send(servers, topic, [b"slow"] + [b"quick"] * QUICK_AFTER)
        await first.until(f"done {SLOW + QUICK_AFTER}")
        during = await until(servers, topic, SLOW + QUICK_AFTER + 1, 3)
    await send(servers, topic, [b"quick"])
    with Worker(command) as second:
        await second.until(f"begun {SLOW + QUICK_AFTER + 1}")
    said, again = first.said, second.said
    print(f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}")
    print(f"committed when {QUICK_BEFORE} records were done: {before}")
    print(f"offset {SLOW} begun: {f'begun {SLOW}' in said}, done: {f'done {SLOW}' in said}")
    after = range(SLOW + 1, SLOW + 1 + QUICK_AFTER)
    print(f"later ones done: {[n for n in after if f'done {n}' in said]}")
    print(f"committed while offset {SLOW} was in flight: {during}, expected {SLOW}")
    print(f"after SIGKILL and a restart, offset {SLOW} was read again: {f'begun {SLOW}' in again}")
    print(f"and the one after it: {f'begun {SLOW + QUICK_AFTER + 1}' in again}")
    if before != QUICK_BEFORE or f"begun {SLOW}" not in said or not any(again):
        print("the worker did not come so far: the run says nothing")
        return 2
    is_lost = during is not None and during > SLOW
    print("the bug is there: the record is lost" if is_lost else "mended")
    return int(is_lost)


def main() -> int:
    """Play, or be the worker that is played with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    parser.add_argument("--work", metavar="TOPIC", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        if options.with_change:
            apply_change()
        work(options.servers, options.work)
    topic = f"commit-in-flight-{time.time_ns():x}"
    command = [sys.executable, __file__, options.servers, "--work", topic]
    command += ["--with-change"] if options.with_change else []
    return asyncio.run(play(options.servers, topic, command))


if __name__ == "__main__":
    raise SystemExit(main())
