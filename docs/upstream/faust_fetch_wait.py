"""A worker that was busy for 150 ms reads a partition's next records more than a second late.

``python faust_fetch_wait.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It needs a
broker that is otherwise idle, makes a topic of its own, and takes 20 seconds.
"""

import argparse
import asyncio
import statistics
import threading
import time
from contextlib import suppress
from importlib.metadata import version

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

ROUNDS = 5
BUSY_S = 0.15
ACCEPTED_MS = 250.0
PROPOSED_WAIT_MS = 10

late_ms: list[float] = []


def apply_change() -> None:
    """Let the broker hold a fetch for 10 ms, as the proposed setting would."""
    create = AIOKafkaConsumerThread._create_worker_consumer

    def created(self, transport):
        consumer = create(self, transport)
        consumer._fetch_max_wait_ms = PROPOSED_WAIT_MS
        return consumer

    AIOKafkaConsumerThread._create_worker_consumer = created


async def play(servers: str, topic: str, app: faust.App) -> None:
    """Send, per round: what makes the agent busy, a record meanwhile, and one when it is done."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()

    async def send(kind: bytes) -> None:
        value = kind + b" %d" % time.monotonic_ns()
        await producer.send_and_wait(topic, value, partition=0)

    for _ in range(ROUNDS):
        await asyncio.sleep(2.5)
        await send(b"busy")
        await asyncio.sleep(0.02)
        await send(b"meanwhile")
        await asyncio.sleep(BUSY_S + 0.05)
        await send(b"after")
    await asyncio.sleep(2.5)
    await producer.stop()
    app.loop.call_soon_threadsafe(lambda: asyncio.ensure_future(worker_of[app].stop()))


worker_of: dict[faust.App, faust.Worker] = {}


def main() -> int:
    """Run a stock worker over two partitions, one of which is idle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    if options.with_change:
        apply_change()
    topic = f"fetch-wait-{time.time_ns():x}"
    asyncio.run(declare(options.servers, topic))
    app = faust.App(
        topic,
        broker=f"kafka://{options.servers}",
        value_serializer="raw",
        topic_partitions=2,
        topic_disable_leader=True,
        web_enabled=False,
    )

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"))
    async def read(stream):
        async for value in stream:
            kind, sent_ns = value.split()
            if kind == b"busy":
                time.sleep(BUSY_S)  # a model, a collection of garbage, a file
            elif kind == b"after":
                late_ms.append((time.monotonic_ns() - int(sent_ns)) / 1e6)

    @app.task
    async def sender():
        playing = play(options.servers, topic, app)
        threading.Thread(target=asyncio.run, args=(playing,), daemon=True).start()

    worker_of[app] = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    with suppress(SystemExit):
        worker_of[app].execute_from_commandline()
    return judge()


def judge() -> int:
    """Say how late the records were; return the exit status."""
    print(f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}")
    print("ms from sending to the agent, of the record after the agent was busy:")
    print("  " + " ".join(f"{each:.0f}" for each in late_ms))
    if len(late_ms) < ROUNDS:
        print(f"{len(late_ms)} of {ROUNDS} records came: the run says nothing")
        return 2
    is_late = statistics.median(late_ms) > ACCEPTED_MS
    print(
        f"median {statistics.median(late_ms):.0f} ms, accepted {ACCEPTED_MS:.0f} ms: "
        + ("the bug is there" if is_late else "mended")
    )
    return int(is_late)


async def declare(servers: str, topic: str) -> None:
    """Make the topic of two partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()


if __name__ == "__main__":
    raise SystemExit(main())
