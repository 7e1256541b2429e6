"""``spill-drain``: a million records from segments to a broker, beside producers that have them.

All records are put first, as in a long outage. Then the drain and two producers with the records
in memory take turns, a share of the records each: one is aiokafka's as it is used, ``send`` for
every record; one fills batches by hand, which is the most that can be had. What came to the broker
is compared record by record.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agents.run.workers import free_port
from agents.topology import Place, trading_app
from streams.clock import monotonic_s, run_stamp
from streams.transport import Outgoing, Producer, producer_of
from tables.stores.spill import Spill
from tests.evidence import bench
from tests.evidence.measurement import Measurement, Result

N_RECORDS = 1_000_000
N_TURNS = 10
MIN_RATIO = 0.7

_PER_TURN = N_RECORDS // N_TURNS
_VALUE = b'{"kind":"decided","verdict":"approved","filler":"%s","n":%%07d}' % (b"x" * 320)
_N_KEYS = 64
_ASKING = 2_000


class _Pause(Exception):  # noqa: N818  no error: the turn is over
    """The turn is over before the next records are sent."""


def _records(topic: str, n: int = N_RECORDS) -> Iterator[Outgoing]:
    for number in range(n):
        key = b"portfolio-%d" % (number % _N_KEYS)
        headers = [("trace", b"%016x" % number)]
        yield Outgoing(topic, key, _VALUE % number, headers, number % bench.N_PARTITIONS)


class _Sends:
    """A producer that has the records in memory: ``send`` for each, and one wait at the end."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._records = _records(topic)

    async def turn(self) -> float:
        """Send the next share; return records per second."""
        mine = list(islice(self._records, _PER_TURN))
        began_s = monotonic_s()
        await asyncio.gather(*await self._hand_over(mine))
        return len(mine) / (monotonic_s() - began_s)

    async def _hand_over(self, records: Sequence[Outgoing]) -> list[Awaitable[Any]]:
        send = self._producer.send
        return [
            await send(topic, value, key, partition, headers=headers)
            for topic, key, value, headers, partition in records
        ]


class _Fills(_Sends):
    """The same with batches that are filled by hand."""

    async def _hand_over(self, records: Sequence[Outgoing]) -> list[Awaitable[Any]]:
        producer = self._producer
        builders = {n: producer.create_batch() for n in range(bench.N_PARTITIONS)}
        sent = []
        for topic, key, value, headers, partition in records:
            builder = builders[partition or 0]
            if not builder.append(timestamp=None, key=key, value=value, headers=headers):
                sent.append(await producer.send_batch(builder, topic, partition=partition))
                builder = builders[partition or 0] = producer.create_batch()
                builder.append(timestamp=None, key=key, value=value, headers=headers)
        for partition, builder in builders.items():
            sent.append(await producer.send_batch(builder, topic, partition=partition))
        return sent


class _Drain:
    """The spill, which is stopped after each turn as if the broker had gone again."""

    def __init__(self, spill: Spill, producer: Producer) -> None:
        self._spill = spill
        self._producer = producer

    async def turn(self) -> float:
        """Drain about a share; return records per second."""
        n_sent = 0

        async def send(records: Sequence[Outgoing]) -> None:
            nonlocal n_sent
            if n_sent >= _PER_TURN:
                raise _Pause
            await self._producer.send_all(records)
            n_sent += len(records)

        began_s = monotonic_s()
        with suppress(_Pause):
            await self._spill.drain(send)
        return n_sent / (monotonic_s() - began_s)


async def _fill(spill: Spill, records: Iterable[Outgoing]) -> float:
    """Put all records, so many at a time, and return how many were durable per second."""
    began_s, walk = monotonic_s(), iter(records)
    while group := list(islice(walk, _ASKING)):
        await asyncio.gather(*(spill.put(record) for record in group))
    return N_RECORDS / (monotonic_s() - began_s)


async def _digest(servers: str, topic: str) -> tuple[int, str]:
    """Return the number of a topic's records and a digest of all of them in order."""
    places = [TopicPartition(topic, n) for n in range(bench.N_PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    n, digest = 0, hashlib.sha256()
    try:
        for place in places:
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(timeout_ms=1_000)).get(place, []):
                    n += 1
                    digest.update(
                        b"%b\0%b\0%b\n" % (record.key, record.value, record.headers[0][1])
                    )
    finally:
        await consumer.stop()
    return n, digest.hexdigest()


async def declare(servers: str, names: Sequence[str]) -> None:
    """Create topics with as many partitions as the product's."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, bench.N_PARTITIONS, 1) for name in names])
    await admin.close()


@asynccontextmanager
async def producers(servers: str, folder: Path) -> AsyncIterator[tuple[Producer, AIOKafkaProducer]]:
    """Yield the producer of a worker and one of aiokafka with the same bounds."""
    port = free_port("127.0.0.1")
    place = Place(servers, "", bench.N_PARTITIONS, folder, folder, "127.0.0.1", port, "0")
    app = trading_app(place)
    app.loop = asyncio.get_running_loop()
    ours = producer_of(app)
    theirs = AIOKafkaProducer(
        bootstrap_servers=servers,
        enable_idempotence=True,
        max_batch_size=app.conf.producer_max_batch_size,
        max_request_size=app.conf.producer_max_request_size,
    )
    await ours.start()
    await theirs.start()
    try:
        yield ours, theirs
    finally:
        await theirs.stop()
        await ours.stop()


async def _measure(servers: str, folder: Path) -> Result:
    names = [f"spill-{run_stamp()}.{kind}" for kind in ("drained", "sent", "filled")]
    await declare(servers, names)
    async with producers(servers, folder) as (ours, theirs), Spill(folder / "spill") as spill:
        filled_per_s = await _fill(spill, _records(names[0]))
        megabytes = round(spill.n_bytes / 1e6)
        takers = (_Drain(spill, ours), _Sends(theirs, names[1]), _Fills(theirs, names[2]))
        rates: tuple[list[float], ...] = ([], [], [])
        for turn in range(N_TURNS):
            for at in range(len(takers)):
                who = (turn + at) % len(takers)
                rates[who].append(await takers[who].turn())
        left = spill.n_records
    digests = {await _digest(servers, name) for name in names}
    drained, sent, filled = rates
    ratio = round(median(mine / other for mine, other in zip(drained, sent, strict=True)), 2)
    parts = {
        "drained_per_s": round(median(drained)),
        "sent_per_s": round(median(sent)),
        "filled_per_s": round(median(filled)),
        "of_filled": round(median(m / o for m, o in zip(drained, filled, strict=True)), 2),
        "durable_per_s": round(filled_per_s),
        "megabytes": megabytes,
        "turns": N_TURNS,
        "left": left,
        "same_records_in_order": len(digests) == 1,
    }
    holds = ratio >= MIN_RATIO and len(digests) == 1 and left == 0
    peer = "aiokafka producer with the records in memory, send for each, one wait"
    return Result(ratio, holds, N_RECORDS, parts, peer, ratio)


def measure() -> Result:
    """Put a million records, then drain them beside producers."""
    with bench.stack() as (servers, _), tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(servers, Path(folder)))


SPILL_DRAIN = Measurement(
    "spill-drain",
    "drain rate of the segments, of a raw producer's",
    f">= {MIN_RATIO:g}, {N_RECORDS:,} records, the same bytes in the same order",
    4,
    measure,
)
