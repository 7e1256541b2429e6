"""Ticks of now, sent at a pace that does not wait for whoever reads them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice

import msgspec
from aiokafka import AIOKafkaProducer

from models.bars import REMEMBERED_IDS
from streams.clock import monotonic_s, wall_ns
from streams.partitions import partition_of
from streams.records import Tick
from streams.timestamps import TIMEFRAMES_NS
from tests.evidence.bench import MOST_BATCH_BYTES, N_PARTITIONS

PER_S = 50
"""How often a feed sends, in batches built per partition."""

TICKS_PER_LIST = 100
_MINUTE_NS = TIMEFRAMES_NS["1min"]


class Feed:
    """Trades of all symbols in turn.

    Parameters
    ----------
    producer, topic
        Where they go.
    symbols
        Of the epoch.

    Attributes
    ----------
    prices
        What a symbol trades at, or a little more; 100 where nothing is known.
    begun
        Set when a feed at a pace may begin.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, symbols: tuple[str, ...]) -> None:
        self._producer = producer
        self._topic = topic
        self._symbols: list[list[str]] = [[] for _ in range(N_PARTITIONS)]
        for symbol in symbols:
            self._symbols[partition_of(symbol, N_PARTITIONS)].append(symbol)
        self.prices: dict[str, float] = {}
        self.begun = asyncio.Event()
        self.began_s = 0.0
        self.n_records = 0
        self.n_ticks = 0

    async def send(self, n_ticks: int) -> None:
        """Send the next ticks, as many to each partition, and await their acknowledgement."""
        sent = []
        for partition in range(N_PARTITIONS):
            batch = self._producer.create_batch()
            for key, value in self._values(partition, n_ticks // N_PARTITIONS):
                if not batch.append(timestamp=None, key=key, value=value):
                    sent.append(await self._hand_over(batch, partition))
                    batch = self._producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value)
                self.n_records += 1
            sent.append(await self._hand_over(batch, partition))
        await asyncio.gather(*sent)

    def _values(self, partition: int, n_ticks: int) -> Iterator[tuple[bytes, bytes]]:
        for tick in self._ticks(partition, n_ticks, wall_ns()):
            yield tick.symbol.encode(), msgspec.json.encode(tick)

    def _ticks(self, partition: int, n_ticks: int, ts_ns: int) -> Iterator[Tick]:
        symbols = self._symbols[partition]
        for n in range(self.n_ticks, self.n_ticks + n_ticks):
            symbol = symbols[n % len(symbols)]
            price = self.prices.get(symbol, 100.0) * (1.0 + n % 97 / 1e5)
            yield Tick(symbol, ts_ns, price=price, size=100, seq=n)
        self.n_ticks += n_ticks

    async def _hand_over(self, batch: object, partition: int) -> "asyncio.Future[object]":
        acknowledged: asyncio.Future[object] = await self._producer.send_batch(
            batch, self._topic, partition=partition
        )
        return acknowledged

    async def keep_sending(self, per_s: int) -> None:
        """Send at a pace once it has begun, open loop but for what the broker takes."""
        await self.begun.wait()
        self.began_s = monotonic_s()
        for beat in range(10**9):
            await asyncio.sleep(max(0.0, self.began_s + beat / PER_S - monotonic_s()))
            await self.send(per_s // PER_S)

    def per_s(self) -> float:
        """Return how many ticks of a second were sent since it began to keep sending."""
        return self.n_ticks / (monotonic_s() - self.began_s)


class ListFeed(Feed):
    """The same in lists, with the start of the minute for their time.

    They are made once a minute and sent again and again, so that making them takes no processor
    from whoever is measured. A symbol's trade is forgotten before it comes again.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str, symbols: tuple[str, ...]) -> None:
        super().__init__(producer, topic, symbols)
        self._made_ns = -1
        self._made: list[Iterator[tuple[bytes, bytes]]] = []

    def _values(self, partition: int, n_ticks: int) -> Iterator[tuple[bytes, bytes]]:
        minute_ns = wall_ns() // _MINUTE_NS * _MINUTE_NS
        if minute_ns != self._made_ns:
            self._made_ns = minute_ns
            self._made = [cycle(self._lists(place)) for place in range(N_PARTITIONS)]
        self.n_ticks += n_ticks
        yield from islice(self._made[partition], n_ticks // TICKS_PER_LIST)

    def _lists(self, partition: int) -> list[tuple[bytes, bytes]]:
        n_ticks = 2 * REMEMBERED_IDS * len(self._symbols[partition])
        ticks = list(self._ticks(partition, n_ticks, self._made_ns))
        self.n_ticks -= n_ticks
        return [
            (b"", msgspec.json.encode(ticks[n : n + TICKS_PER_LIST]))
            for n in range(0, n_ticks - TICKS_PER_LIST, TICKS_PER_LIST)
        ]


@asynccontextmanager
async def feeding(
    servers: str, topic: str, symbols: tuple[str, ...], per_s: int
) -> AsyncIterator[Feed]:
    """Yield a feed with a producer of its own that sends beside what is inside; at 0 nothing."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, max_batch_size=MOST_BATCH_BYTES
    )
    await producer.start()
    feed = Feed(producer, topic, symbols)
    task = asyncio.create_task(feed.keep_sending(per_s)) if per_s else None
    try:
        yield feed
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await producer.stop()
    if task is not None and not task.cancelled():
        await task
