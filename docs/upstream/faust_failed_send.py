"""A send that the broker refuses is logged, and what caused it is committed all the same.

``python faust_failed_send.py HOST:PORT [--with-change]`` exits 1 while the bug is there. It makes
two topics and a group of its own and takes 15 seconds.
"""

import argparse
import asyncio
import logging
import subprocess
import sys
import time
from importlib.metadata import version

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.exceptions import ProducerSendError
from faust.transport.drivers.aiokafka import Producer

# What the sink's broker takes, and what the agent makes of the record in the middle.
SINK_MAX_BYTES = 500
LARGE = 2_000
SIZES = [10, 10, LARGE, 10, 10]
PATIENCE_S = 40


def apply_change() -> None:
    """Note what failed, and let the flush before a commit say so, as proposed."""
    send, flush = Producer.send, Producer.flush

    async def noting_send(self, *args, **kwargs):
        sent = await send(self, *args, **kwargs)
        failed = self.__dict__.setdefault("_failed_sends", [])
        sent.add_done_callback(lambda done: done.exception() and failed.append(done.exception()))
        return sent

    async def telling_flush(self):
        await flush(self)
        await asyncio.sleep(0)  # the callbacks of what has just failed
        failed = self.__dict__.get("_failed_sends")
        if failed:
            raise ProducerSendError(f"{len(failed)} sends failed, first: {failed[0]!r}")

    Producer.send, Producer.flush = noting_send, telling_flush


def work(servers: str, name: str) -> None:
    """Be the worker: pass each record on, as the documentation shows it."""
    logging.disable(logging.CRITICAL)
    app = faust.App(
        name,
        broker=f"kafka://{servers}",
        value_serializer="raw",
        topic_partitions=1,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        broker_commit_interval=0.3,
    )
    sink = app.topic(f"{name}-sink", value_type=bytes, value_serializer="raw")

    @app.agent(app.topic(name, value_type=bytes, value_serializer="raw"))
    async def pass_on(stream):
        async for value in stream:
            await sink.send(value=b"x" * int(value), partition=0)

    faust.Worker(
        app, loglevel="CRITICAL", quiet=True, redirect_stdouts=False
    ).execute_from_commandline()


async def arrived(reader: AIOKafkaConsumer, sink: TopicPartition) -> int:
    """Return how many records are in the sink."""
    return (await reader.end_offsets([sink]))[sink]


async def play(servers: str, name: str, command: list[str]) -> int:
    """Let the worker pass five records on, of which the sink takes four."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    limit = {"max.message.bytes": str(SINK_MAX_BYTES)}
    sink = NewTopic(f"{name}-sink", 1, 1, topic_configs=limit)
    await admin.create_topics([NewTopic(name, 1, 1), sink])
    await admin.close()
    source_tp, sink_tp = TopicPartition(name, 0), TopicPartition(f"{name}-sink", 0)
    reader = AIOKafkaConsumer(bootstrap_servers=servers, group_id=name, enable_auto_commit=False)
    await reader.start()
    reader.assign([source_tp, sink_tp])
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + PATIENCE_S
    for number, size in enumerate(SIZES):
        await producer.send_and_wait(name, b"%d" % size, partition=0)
        await asyncio.sleep(0.1)
        while not number and not await arrived(reader, sink_tp) and time.monotonic() < ends:
            await asyncio.sleep(0.2)
    await producer.stop()
    await asyncio.sleep(4)
    ended = worker.poll()
    worker.kill()
    worker.wait()
    committed = await reader.committed(source_tp)
    in_sink = await arrived(reader, sink_tp)
    await reader.stop()
    print(f"faust-streaming {version('faust-streaming')}, aiokafka {version('aiokafka')}")
    print(f"records in the source: {len(SIZES)}, refused by the sink: offset {SIZES.index(LARGE)}")
    print(f"records in the sink: {in_sink}")
    print(f"committed in the source: {committed}")
    print(f"exit status of the worker: {ended} (None: it runs on)")
    if not in_sink:
        print("the worker did not come so far: the run says nothing")
        return 2
    is_lost = committed is not None and committed > SIZES.index(LARGE)
    print("the bug is there: committed behind a record that never arrived" if is_lost else "mended")
    return int(is_lost)


def main() -> int:
    """Play, or be the worker that is played with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", metavar="HOST:PORT")
    parser.add_argument("--with-change", action="store_true")
    parser.add_argument("--work", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.work:
        if options.with_change:
            apply_change()
        work(options.servers, options.work)
    name = f"failed-send-{time.time_ns():x}"
    command = [sys.executable, __file__, options.servers, "--work", name]
    command += ["--with-change"] if options.with_change else []
    return asyncio.run(play(options.servers, name, command))


if __name__ == "__main__":
    raise SystemExit(main())
