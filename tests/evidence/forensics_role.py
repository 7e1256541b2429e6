"""The role forensics over a topic that is filled while it stands still, until all is durable."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import sleep

import confluent_kafka
import confluent_kafka.admin
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from agents.forensics import group_of
from agents.run.workers import Children
from agents.topology import prefix_of
from streams import topics
from streams.clock import monotonic_s
from tests.evidence.bench import N_PARTITIONS

_POLL_S = 0.02
_PATIENCE_S = 120.0
_ASK_S = 10.0
_TICK_S = 0.01

Values = list[tuple[str, bytes]]


async def declared(servers: str, run: str) -> None:
    """Make the topics of a run."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await topics.declare(admin, prefix=prefix_of(run), n_partitions=N_PARTITIONS, replication=1)
    await admin.close()


def said(servers: str, run: str, made: Values) -> None:
    """Put all decisions on a run's topic."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": servers,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 2 * len(made),
            "queue.buffering.max.kbytes": 1 << 20,
            "linger.ms": 20,
        }
    )
    for name, value in made:
        producer.produce(
            prefix_of(run) + topics.TRADING_DECISIONS.name,
            value,
            name,
            headers=[("origin-ns", b"1767623400000000000"), ("source-offsets", b"0:1-2,1:1-2")],
        )
    producer.flush()


async def ingested(
    servers: str, run: str, home: Path, n_processes: int, made: Values
) -> tuple[float, float]:
    """Let the role keep a whole topic; return durable rows per second.

    Starting Python and sharing the partitions are no part of it: the processes stand still while
    their topic is filled. The second rate counts seconds of their own processor time alone.
    """
    children = Children(home / "runs" / run / "logs", {"TRADEWIND_HOME": str(home.parent)})
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        for number in range(n_processes):
            children.start(
                f"forensics-{number}",
                "forensics",
                f"--bootstrap={servers}",
                f"--run={run}",
                f"--name={home.name}",
            )
        processes = [psutil.Process(each.pid) for each in children.running.values()]
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.to_thread(_joined, servers, run, n_processes)
            for process in processes:
                process.suspend()
            try:
                await asyncio.to_thread(said, servers, run, made)
            finally:
                for process in processes:
                    process.resume()
            began_s, spent_s = monotonic_s(), _cpu_s(processes)
            while await _n_kept(admin, run) < len(made):
                children.check()
                await asyncio.sleep(_POLL_S)
            took_s, cpu_s = monotonic_s() - began_s, _cpu_s(processes) - spent_s
            return len(made) / took_s, len(made) / max(cpu_s, _TICK_S)
    finally:
        await admin.close()
        await asyncio.to_thread(children.stop)


def _joined(servers: str, run: str, n_processes: int) -> None:
    """Wait until the partitions are shared among all processes."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": servers})
    group = group_of(run)
    while True:
        shares = []
        # A fresh broker makes the topic of groups when it is first asked.
        with suppress(confluent_kafka.KafkaException):
            told = admin.describe_consumer_groups([group], request_timeout=_ASK_S)[group].result()
            shares = [member.assignment.topic_partitions for member in told.members]
        if len(shares) == n_processes and all(shares):
            return
        sleep(_POLL_S)


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    """Return the processor time so far; the system counts it in hundredths of a second."""
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def _n_kept(admin: AIOKafkaAdminClient, run: str) -> int:
    try:
        committed = await admin.list_consumer_group_offsets(group_of(run))
    except GroupCoordinatorNotAvailableError:
        # A fresh broker makes the topic of groups when it is first asked.
        return 0
    return sum(max(each.offset, 0) for each in committed.values())
