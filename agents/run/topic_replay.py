"""A range of a run's ticks through workers of its own, on fresh topics of the same broker.

Ticks and heartbeats go out as they were recorded, partitions in turn from heartbeat to heartbeat;
with another number of partitions each tick goes to its symbol's home there. What people and venues
said is sent behind the bar behind which it acted, and the next heartbeat waits for it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from agents.run.decided import identity_of
from agents.run.drive import WINDOW_BARS, Run, decided, declare, producing, start_worker
from agents.run.observer import Observer
from agents.run.resumed import Sent, sent
from agents.run.spoken_records import Spoken, spoken_records
from agents.run.standing import write
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_range import ticks_of
from agents.run.workers import Children, free_port
from agents.topology import all_changelogs
from streams.clock import monotonic_s
from streams.errors import RecordError
from streams.kafka_access import kafka
from streams.partitions import partition_of
from streams.records import ClockRecord, Heartbeat, read_json
from streams.sources.replay import CLOCK_HEADER, ticks_topic
from streams.topics import CATALOGUE, PORTFOLIO_EVENTS
from streams.transport import Record
from tables.identity import Identity

_HOST = "127.0.0.1"
_QUIET_S = 2.0

# Of the workers of one replay together; while a group settles one may lose its partitions.
_MOST_RESTARTS = 5
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_CLOCK_RECORD = msgspec.json.Decoder(ClockRecord)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class _Symbol(msgspec.Struct):
    symbol: str


_SYMBOL = msgspec.json.Decoder(_Symbol)

# Called with each close before the heartbeat that ends it.
Before = Callable[[int], Awaitable[None]]


@dataclass
class TopicReplay:
    """A replay on a broker.

    Parameters
    ----------
    source
        What is replayed; it has been checked.
    run
        The run whose topics are written.
    n_workers
        Workers that share the partitions.
    pace
        Times the speed at which it happened; 0 for as fast as the stages go.
    advanced
        Called with the number of closes that were sent.
    before
        Awaited with each close before it is sent.
    """

    source: TopicBacktest
    run: Run
    n_workers: int = 1
    pace: float = 0.0
    advanced: Callable[[int], None] = lambda _n: None
    before: Before | None = None
    children: Children = field(init=False)
    watch: Observer = field(init=False)
    spoken: Spoken = field(default_factory=Spoken)
    sent: Sent = field(default_factory=Sent)
    n_restarts: int = 0

    def __post_init__(self) -> None:
        epoch = self.run.epoch
        environment = {"TRADEWIND_PARTITIONS": str(epoch.n_partitions)}
        self.children = Children(self.run.data / "logs", environment)
        watched = self.run.bootstrap_servers, self.run.prefix, len(epoch.portfolios)
        self.watch = Observer(*watched, keeps=False)

    @property
    def n_spoken(self) -> int:
        """Records of people and venues that were sent."""
        return self.spoken.n - sum(map(len, self.spoken.by_close.values()))

    async def play(self, replication: int) -> Identity:
        """Replay the range, wait for its last decision, and return the hash of all that count.

        Where books go on, what stands before the range is folded in this process first. What the
        run has of it already is not sent again.

        Raises
        ------
        WorkerFailedError
            If workers ended by themselves again and again, or nothing was decided for a minute.
        """
        source = self.source
        if source.is_recorded:
            log = source.servers, source.run_name, source.book_ends
            self.spoken = await spoken_records(*log, source.begin, source.after_ns)
        await declare(self.run, replication)
        self.sent = await sent(self.run)
        try:
            if not any(self.sent.ticks.values()):
                await write(self.run, await source.stood())
            for instance in range(self.n_workers):
                self.start(str(instance))
            async with producing(self.run.bootstrap_servers) as producer, _following(self.watch):
                await _Sender(self, producer).send_all()
        finally:
            await asyncio.to_thread(self.children.stop)
        return await identity_of(
            self.run.bootstrap_servers, self.run.prefix, after_ns=source.after_ns
        )

    def start(self, instance: str) -> None:
        """Start a worker under its name; it goes on where the one before it was."""
        start_worker(self.run, self.children, free_port(_HOST), instance)

    def mend(self) -> None:
        """Start what ended by itself again, as the keeper of a live stack does.

        Raises
        ------
        WorkerFailedError
            If it happens again and again; the message has the end of the log.
        """
        for instance in map(str, range(self.n_workers)):
            process = self.children.running.get(f"worker-{instance}")
            if process is not None and not process.alive():
                if self.n_restarts >= _MOST_RESTARTS:
                    self.children.check()
                self.n_restarts += 1
                self.start(instance)

    async def decided(self, close_ns: int) -> None:
        """Wait until a bar is decided, and see that there is somebody who decides it."""
        await decided(self.watch, close_ns, self.children, self.mend)

    async def remove(self) -> None:
        """Delete the run's topics and its folder; what its group has committed goes with time."""
        names = [self.run.prefix + spec.name for spec in CATALOGUE]
        admin = AIOKafkaAdminClient(**kafka(self.run.bootstrap_servers))
        await admin.start()
        try:
            for name in (*names, *all_changelogs(self.run.name)):
                with suppress(UnknownTopicOrPartitionError):
                    await admin.delete_topics([name])
        finally:
            await admin.close()
        shutil.rmtree(self.run.data, ignore_errors=True)


@dataclass
class _Sender:
    """Sends a range: ticks as they come, heartbeats when all partitions have reached them."""

    replay: TopicReplay
    producer: AIOKafkaProducer
    closes: list[int] = field(default_factory=list)
    beats: int = 0
    is_spoken_last: bool = False
    # The first close that is sent, and when: the pace is kept from there on.
    paced: tuple[int, float] | None = None

    async def send_all(self) -> None:
        """Send, and wait until the last bar is decided."""
        replay, range_ = self.replay, self.replay.source.counted
        n_source, seen = len(range_.begins), dict.fromkeys(range(len(range_.begins)), 0)
        spoken: dict[int, int] = {}
        ticks = ticks_of(replay.source.servers, range_, replay.source.translate)
        async with aclosing(ticks) as said:
            async for record in said:
                if record.header(CLOCK_HEADER) is None:
                    await self._ticks(record)
                    continue
                number = seen[record.partition] = seen[record.partition] + 1
                spoken[number] = spoken.get(number, 0) + 1
                if spoken[number] == n_source:
                    await self._clock(record)
        await self.producer.flush()
        await replay.decided(self.closes[-1])
        if self.is_spoken_last:
            # No bar comes behind them, whose account would say that they have acted.
            await asyncio.sleep(_QUIET_S)

    async def _ticks(self, record: Record) -> None:
        n_partitions = self.replay.run.epoch.n_partitions
        if n_partitions == len(self.replay.source.range.begins):
            placed = [(record.partition, record.value)]
        else:
            placed = list(homes_of(record, n_partitions))
        for partition, value in placed:
            await self._send(partition, record._replace(value=value))

    async def _clock(self, record: Record) -> None:
        """Send a record of the clock to all partitions, once everything before it was sent."""
        try:
            said = read_json(_CLOCK_RECORD, record.value or b"")
        except RecordError:
            said = None
        close_ns = self._close_of(said) if isinstance(said, Heartbeat) else -1
        last_ns = self.closes[-1] if self.closes else self.replay.source.after_ns
        is_new = close_ns > last_ns
        if isinstance(said, Heartbeat):
            if self.beats == 0:
                await self._people(-1, -1)
            self.beats += 1
        if is_new:
            await self._ahead(close_ns)
        for partition in range(self.replay.run.epoch.n_partitions):
            await self._send(partition, record._replace(key=None))
        # The first heartbeat finds no bar that it could close, but where bars are open.
        if is_new and (self.beats > 1 or self.replay.source.middle is not None):
            self.closes.append(close_ns)
            self.replay.advanced(len(self.closes))
            await self._people(last_ns, close_ns)

    async def _send(self, partition: int, record: Record) -> None:
        if self.replay.sent.holds_tick(partition):
            return
        topic = ticks_topic(self.replay.run.prefix)
        await self.producer.send(
            topic, record.value, key=record.key, partition=partition, headers=record.headers
        )

    def _close_of(self, beat: Heartbeat) -> int:
        epoch = self.replay.run.epoch
        passed = beat.ts_event_ns - epoch.lateness_ms * _NS_PER_MS
        return passed // epoch.timeframe_ns * epoch.timeframe_ns

    async def _ahead(self, close_ns: int) -> None:
        """Keep from running away from the stages, and from the pace."""
        replay = self.replay
        if replay.before is not None:
            await replay.before(close_ns)
        replay.mend()
        if len(self.closes) >= WINDOW_BARS:
            await replay.decided(self.closes[-WINDOW_BARS])
        if replay.pace and not any(replay.sent.ticks.values()):
            if self.paced is None:
                self.paced = close_ns, monotonic_s()
            begin_ns, began_s = self.paced
            happened_s = (close_ns - begin_ns) / _NS_PER_S / replay.pace
            await asyncio.sleep(max(0.0, began_s + happened_s - monotonic_s()))

    async def _people(self, after_ns: int, until_ns: int) -> None:
        """Send what people and venues said behind the bars since ``after_ns``."""
        spoken, replay = self.replay.spoken.by_close, self.replay
        self.is_spoken_last = False
        wanted = [c for c in sorted(spoken) if after_ns < c <= until_ns or c == until_ns]
        if not wanted:
            return
        if until_ns >= 0:
            await self.producer.flush()
            await replay.decided(until_ns)
        for close_ns in wanted:
            for record in spoken.pop(close_ns):
                if replay.sent.holds_word(record.key):
                    continue
                await self.producer.send_and_wait(
                    replay.run.prefix + PORTFOLIO_EVENTS.name,
                    record.value,
                    key=record.key,
                    headers=record.headers,
                )
        self.is_spoken_last = True


def homes_of(record: Record, n_partitions: int) -> list[tuple[int, bytes | None]]:
    """Return a record's ticks by their homes among so many partitions.

    What cannot be read goes where its key lives, and is refused there as it was.
    """
    value = record.value or b""
    try:
        if not value.lstrip().startswith(b"["):
            symbol = read_json(_SYMBOL, value).symbol
            return [(partition_of(symbol, n_partitions), record.value)]
        by_home: dict[int, list[msgspec.Raw]] = {}
        for raw in read_json(_RAW_LIST, value):
            symbol = read_json(_SYMBOL, bytes(raw)).symbol
            by_home.setdefault(partition_of(symbol, n_partitions), []).append(raw)
    except RecordError:
        home = partition_of((record.key or b"").decode(errors="replace"), n_partitions)
        return [(home, record.value)]
    return [(home, msgspec.json.encode(ticks)) for home, ticks in by_home.items()]


@asynccontextmanager
async def _following(watch: Observer) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
