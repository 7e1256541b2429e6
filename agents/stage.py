"""The one loop that every stage shares: take, fold, send and await, persist, go on.

``event (batch of one partition) -> outputs, snapshots, progress``. One ordered task per partition;
partitions do not wait for each other until one is behind by a full queue, which no longer lets the
topic be read. An error in a task crashes the worker: restart is recovery.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, cast

import faust
from faust.types import TP, EventT

from streams import clock, failpoints, metrics
from streams.dead_letters import DeadLetter, Headers
from streams.shown import forget
from streams.topics import DEAD_LETTERS
from streams.transport import MAX_BATCH_RECORDS, Outgoing, Record, consumer_of, producer_of
from tables.stamped import Stamped, StampedTable

log = logging.getLogger("tradewind.stage")

# Batches that may wait in front of one partition's task before the topic is no longer read.
_QUEUE_BATCHES = 8

# A step of so many outputs sends them before it folds on: each bad tick is a dead letter, and they
# come by the thousand in a record.
_OUTPUTS = 10_000

# A snapshot that is due waits for a pause of this length, so that it does not stand in the way of a
# bar on its way through the chain; without a pause it is taken after so many steps all the same.
_PAUSE_S = 0.1
# What a step in flight may take when its partition goes. An outage is waited for while nothing
# moves; whoever has to let go is not waited for without end.
_STOP_S = 60.0
_STEPS_WITHOUT_PAUSE = 64

# However little was folded, progress is never older than this: far below every topic's retention.
_OLDEST_PROGRESS_S = 600.0

# A worker that was taken for dead and wakes up may write an older state behind a newer one. Both
# stand in the changelog until it is compacted, 600 s later; before that the owner's stands last.
_WRITE_AGAIN_S = 300.0


class Output(NamedTuple):
    """One record to send; ``topic`` is its name without the run prefix."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers
    partition: int | None = None


class Snapshot(NamedTuple):
    """States to write, and the offset from which a restart must read."""

    states: dict[bytes, Stamped]
    next_offset: int


Reader = Callable[[bytes], Stamped | None]


class Fold(Protocol):
    """How one partition's state changes with a record."""

    def apply(self, record: Record) -> Iterable[Output | DeadLetter]:
        """Fold one record and return what it causes; a record already folded causes nothing."""
        ...

    def due(self) -> bool:
        """Tell whether enough was folded since the last snapshot to take one now."""
        ...

    def snapshot(self) -> Snapshot:
        """Return the states that changed since the last snapshot."""
        ...


FoldFactory = Callable[[int, Reader], Fold]

# Told what a step has sent, once the broker has it.
Listener = Callable[[list[Output | DeadLetter]], None]


class Stage:
    """A Faust agent over one topic, with one ordered task per partition.

    Parameters
    ----------
    app, name
        The Faust app and the stage's name (agent, table and metric label).
    prefix
        Run prefix of the topics.
    table
        Where the fold's states are kept.
    new_fold
        Makes the fold of a partition from its snapshots.
    """

    # How long a step of a task that has caught up waits for more: trading waits for nothing.
    linger_s = 0.0

    def __init__(
        self, app: faust.App, name: str, prefix: str, table: StampedTable, new_fold: FoldFactory
    ) -> None:
        self.app = app
        self.name = name
        self.prefix = prefix
        self.table = table
        self.new_fold = new_fold
        self.listeners: list[Listener] = []
        # Called when partitions have gone: what their records cause may not be heard of here.
        self.on_revoked: list[Callable[[], None]] = []
        self._dead_letters = prefix + DEAD_LETTERS.name
        self._tasks: dict[TP, _PartitionTask] = {}

    async def run(self, stream: faust.StreamT[Any]) -> None:
        """Pass every batch to its partition's task, in order; this is the agent's body."""
        consumer_of(self.app).on_revoke(self.quiesce)
        async for event in stream.events():
            tp = event.message.tp
            task = self._tasks.get(tp)
            if task is None:
                task = self._tasks[tp] = _PartitionTask(self, event)
            task.tell_lag(event.value[0].offset)
            await task.queue.put(event)

    def fold_of(self, partition: int) -> Fold | None:
        """Return the fold of a partition as it stands; None if nothing of it was read here."""
        tasks = (task for tp, task in self._tasks.items() if tp.partition == partition)
        return next((task.fold for task in tasks), None)

    def folds(self) -> list[Fold]:
        """Return the folds of all partitions of which something was read here, in order."""
        return [self._tasks[tp].fold for tp in sorted(self._tasks)]

    async def quiesce(self, revoked: set[TP]) -> None:
        """Finish the step in flight of each partition, keep its state, and forget it."""
        leaving = [self._tasks.pop(tp) for tp in list(self._tasks) if tp in revoked]
        await asyncio.gather(*(task.stop() for task in leaving))
        for task in leaving:
            forget(self.name, task.tp.partition)
        for tell in self.on_revoked:
            tell()

    async def send(self, outputs: Iterable[Output | DeadLetter]) -> None:
        """Send all and await the broker once; a refused record is an error."""
        outgoing: list[Outgoing] = []
        now = ("ts-init-ns", str(clock.wall_ns()).encode())
        letters: list[DeadLetter] = []
        of: Headers | None = None
        stamped: Headers = []
        for output in outputs:
            if isinstance(output, DeadLetter):
                letters.append(output)
                origin = output.origin.id().encode()
                letter = Outgoing(self._dead_letters, origin, output.raw, output.headers(), None)
                outgoing.append(letter)
            else:
                topic, key, value, headers, partition = output
                # When it was made: differs between runs, so it is no part of the value. A bar's
                # decisions have the same headers.
                if headers is not of:
                    of, stamped = headers, [*(one for one in headers if one[0] != now[0]), now]
                outgoing.append(Outgoing(self.prefix + topic, key, value, stamped, partition))
        if letters:
            self._report(letters)
        self.reach("before-send")
        await producer_of(self.app).send_all(outgoing, lambda: self.reach("after-send"))
        self.reach("after-ack")

    def reach(self, point: str) -> None:
        """Come to a place at which a test may end this process."""
        failpoints.reach(self.name, point)

    def _report(self, letters: list[DeadLetter]) -> None:
        for reason, n in Counter(letter.reason for letter in letters).items():
            metrics.DEAD_LETTERS.labels(self.name, reason).inc(n)
            first = next(letter for letter in letters if letter.reason == reason)
            log.warning(
                "%s: %d dead letters %s, first %s: %s",
                self.name,
                n,
                reason,
                first.origin.id(),
                first.detail,
                extra={"stage": self.name, **first.origin.named()},
            )


class _PartitionTask:
    """The ordered worker of one partition."""

    def __init__(self, stage: Stage, event: EventT[Any]) -> None:
        self.stage = stage
        self.tp = event.message.tp
        self.queue: asyncio.Queue[EventT[Any] | None] = asyncio.Queue(_QUEUE_BATCHES)
        self.event = event
        self.dirty = False
        self.is_ending = False
        self.steps_due = 0
        self.dirty_since_s = 0.0
        self.next_offset: int | None = None
        # What this task has written, and when.
        self.written: dict[bytes, tuple[Stamped, float]] = {}
        self.fold = stage.new_fold(self.tp.partition, self._read)
        self.task = asyncio.create_task(self._run(), name=f"{stage.name}-{self.tp.partition}")
        self.task.add_done_callback(self._on_done)

    def _read(self, key: bytes) -> Stamped | None:
        return self.stage.table.read(self.event, key)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical(
                "stage %s partition %d failed", self.stage.name, self.tp.partition, exc_info=error
            )
            app = self.stage.app
            app.loop.create_task(app.crash(error))

    def tell_lag(self, first_offset: int) -> None:
        """Say how far the fold is behind the broker; before its first step, from an offset on."""
        done = first_offset if self.next_offset is None else self.next_offset
        behind = self.stage.app.monitor.tp_end_offsets.get(self.tp, done) - done
        metrics.LAG_RECORDS.labels(self.stage.name, self.tp.partition).set(max(behind, 0))

    async def stop(self) -> None:
        """Let the current step end, write the state, end the task; waiting batches are dropped."""
        self.is_ending = True
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)
        _, late = await asyncio.wait([self.task], timeout=_STOP_S)
        if late:
            # The broker does not take what the step said. Whoever goes on reads it again.
            self.task.cancel()
            text = f"stage {self.stage.name} partition {self.tp.partition}: a step did not end"
            await self.stage.app.crash(TimeoutError(f"{text} within {_STOP_S:g} s of the stop"))

    async def _run(self) -> None:
        while (event := await self._next()) is not None:
            self.event = event
            if self.stage.linger_s and self.queue.empty():
                await asyncio.sleep(self.stage.linger_s)
            await self._step(self._take(event))
        if self.dirty:
            await self._persist()

    async def _next(self) -> EventT[Any] | None:
        if self.fold.due():
            self.steps_due += 1
            if self.steps_due > _STEPS_WITHOUT_PAUSE:
                await self._persist()
                return await self.queue.get()
            try:
                async with asyncio.timeout(_PAUSE_S):
                    return await self.queue.get()
            except TimeoutError:
                await self._persist()
        while (left_s := self._left_s()) is not None:
            if left_s <= 0:
                await (self._persist() if self.dirty else self._write_again())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    return await self.queue.get()
        return await self.queue.get()

    def _left_s(self) -> float | None:
        """Return when something is due to be written, None if there is nothing."""
        dues = [written_s + _WRITE_AGAIN_S for _, written_s in self.written.values()]
        if self.dirty:
            dues.append(self.dirty_since_s + _OLDEST_PROGRESS_S)
        return min(dues) - clock.monotonic_s() if dues else None

    def _take(self, event: EventT[Any]) -> list[Record]:
        records = list(event.value)
        # Behind a stop the queue has its end, and perhaps a batch that waited for room: it does not
        # join this one, because what was between them was dropped.
        while len(records) < MAX_BATCH_RECORDS and not self.is_ending and not self.queue.empty():
            records.extend(cast(EventT[Any], self.queue.get_nowait()).value)
        return records

    async def _step(self, records: list[Record]) -> None:
        name = self.stage.name
        started = clock.monotonic_s()
        self.stage.reach("after-fetch")
        if not self.dirty:
            self.dirty, self.dirty_since_s = True, started
        n_sent, sending_s = 0, 0.0
        for outputs in self._portions(records):
            folded = clock.monotonic_s()
            await self.stage.send(outputs)
            for listener in self.stage.listeners:
                listener(outputs)
            n_sent += len(outputs)
            sending_s += clock.monotonic_s() - folded
        metrics.STEP_SECONDS.labels(name).observe(clock.monotonic_s() - started - sending_s)
        metrics.SEND_SECONDS.labels(name).observe(sending_s)
        delay_s = clock.wall_ns() / 1e9 - records[0].timestamp_ms / 1e3
        metrics.DELAY_SECONDS.labels(name).observe(max(delay_s, 0.0))
        self.next_offset = records[-1].offset + 1
        self.tell_lag(self.next_offset)
        metrics.RECORDS.labels(name, "taken").inc(len(records))
        metrics.RECORDS.labels(name, "sent").inc(n_sent)

    def _portions(self, records: Iterable[Record]) -> Iterator[list[Output | DeadLetter]]:
        """Fold records and yield what they cause, all at once unless it is very much."""
        outputs: list[Output | DeadLetter] = []
        for record in records:
            outputs.extend(self.fold.apply(record))
            if len(outputs) >= _OUTPUTS:
                yield outputs
                outputs = []
        yield outputs

    async def _persist(self) -> None:
        name = self.stage.name
        started = clock.monotonic_s()
        snapshot = self.fold.snapshot()
        self.stage.reach("before-table")
        for key, stamped in snapshot.states.items():
            await self._write(key, stamped)
        await self._write_again()
        self.stage.reach("before-commit")
        consumer_of(self.stage.app).advance(self.tp, snapshot.next_offset)
        self.dirty = False
        self.is_ending = False
        self.steps_due = 0
        metrics.SNAPSHOT_SECONDS.labels(name).observe(clock.monotonic_s() - started)
        metrics.PROGRESS_OFFSET.labels(name, self.tp.partition).set(snapshot.next_offset)

    async def _write_again(self) -> None:
        """Write what has not changed for long once more."""
        # The same sum as in `_left_s`: rounded otherwise, what is due there would not be so here.
        now_s = clock.monotonic_s()
        for key, (stamped, written_s) in list(self.written.items()):
            if written_s + _WRITE_AGAIN_S <= now_s:
                await self._write(key, stamped)

    async def _write(self, key: bytes, stamped: Stamped) -> None:
        await self.stage.table.write(self.event, key, stamped)
        self.stage.reach("after-table")
        self.written[key] = stamped, clock.monotonic_s()
        metrics.SNAPSHOT_BYTES.labels(self.stage.name).inc(len(stamped.state))
