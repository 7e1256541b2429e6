"""A worker of the simulation: the product's stages, folds and tables, with a process around them.

It joins, recovers its tables, reads, is revoked and joins again, as Faust lets it. It can die at
any time or at a failpoint, can be stopped politely, and can be frozen for a while. What it has on
disk outlives it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import faust
from faust.types import TP

from agents.stage import Stage
from agents.topology import trading_stages
from streams.transport import Batch, Consumer, Outgoing, Producer, RevokeHook
from tables.epochs import Epochs
from tests.simulation.broker import Broker, Connection, place_of
from tests.simulation.disk import Disk, Recovered, changelog_of, table_of
from tests.simulation.group import HEARTBEAT_S, Deal, Group, ShutOutError

_MOST_RECORDS = 24
_COMMIT_S = 0.5


class DiedError(Exception):
    """The process ends here."""


class _Reader(Consumer):
    """What a stage says of its progress."""

    def __init__(self) -> None:
        self.progress: dict[TP, int] = {}
        self.hooks: list[RevokeHook] = []

    def advance(self, tp: TP, next_offset: int) -> None:
        self.progress[tp] = next_offset

    def on_revoke(self, hook: RevokeHook) -> None:
        self.hooks.append(hook)


class _Writer(Producer):
    """What a stage sends."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker

    async def send_all(
        self, records: Iterable[Outgoing], handed_over: Callable[[], None] = lambda: None
    ) -> None:
        await self._worker.runs()
        pending = [self._worker.send(one) for one in records]
        handed_over()
        await asyncio.gather(*pending)
        await self._worker.runs()


class _Stage(Stage):
    """A stage whose failpoints are those of its worker."""

    worker: "Worker"

    def reach(self, point: str) -> None:
        """Come to a place."""
        self.worker.reach(self.name, point)


class _Event:
    """A batch on its way to a stage; tables refer to it weakly."""

    def __init__(self, tp: TP, batch: Batch) -> None:
        self.message, self.value = SimpleNamespace(tp=tp, partition=tp.partition), batch


class _Source(NamedTuple):
    """A stage's topic, and the events on their way to it."""

    topic: str
    queue: "asyncio.Queue[Any]"

    async def events(self) -> AsyncIterator[Any]:
        while True:
            yield await self.queue.get()


class Worker:
    """One process, from its start to its end.

    Parameters
    ----------
    name
        Its name in the group: one that comes back has the disk and the place of the one before.
    broker, group
        Outside of it.
    epochs
        The documents that decide.
    disk
        What the worker of this name has left.
    """

    def __init__(self, name: str, broker: Broker, group: Group, epochs: Epochs, disk: Disk) -> None:
        self.name, self.disk = name, disk
        self.broker, self.group = broker, group
        self.is_dead, self.is_stopping, self.ended = False, False, asyncio.Event()
        self.has_slept = False
        self.death: tuple[str, str, int] | None = None
        self.failures: list[BaseException] = []
        self._awake, self._never = asyncio.Event(), asyncio.Event()
        self._awake.set()
        self._called = asyncio.Event()
        self._deal: Deal | None = None
        self._number: int | None = None
        self._connection = Connection(broker)
        self._reader = _Reader()
        self._committed: dict[TP, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._sources: list[_Source] = []
        self._stages: list[_Stage] = []
        app = SimpleNamespace(
            consumer=self._reader,
            producer=_Writer(self),
            loop=asyncio.get_running_loop(),
            crash=self._crash,
            monitor=SimpleNamespace(tp_end_offsets={}),
        )
        for stage_name, topic, new_fold in trading_stages(epochs):
            table = table_of(stage_name, disk, self._write)
            stage = _Stage(cast(faust.App, app), stage_name, "", table, new_fold)
            stage.worker = self
            source = _Source(topic.name, asyncio.Queue())
            self._stages.append(stage)
            self._sources.append(source)
            self._begin(stage.run(cast(Any, source)))
        self._begin(self._live())
        self._begin(self._beat())

    def _begin(self, what: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(what)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)
        return task

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures.append(error)
            self.die()

    # What the stages meet.

    async def runs(self) -> None:
        """Go on if the process runs, once it is awake; a dead one never does."""
        await self._awake.wait()
        if self.is_dead:
            await self._never.wait()

    def send(self, one: Outgoing) -> "asyncio.Future[int]":
        """Hand a record to the broker."""
        return self._connection.send(place_of(one), self._put(one))

    def _put(self, one: Outgoing) -> Callable[[], int]:
        return lambda: self.broker.append(one)

    async def _write(self, tp: TP, key: bytes, value: bytes) -> int:
        """Write into a changelog; whoever waits for the answer goes on if the process does."""
        await self.runs()
        offset = await self._connection.send(tp, lambda: self.broker.write(tp, key, value))
        await self.runs()
        return offset

    def reach(self, stage: str, point: str) -> None:
        """Come to a failpoint; at that of its death the process ends before anything else."""
        if self.death is None or (stage, point) != self.death[:2] or self.is_dead:
            return
        self.death = (stage, point, self.death[2] - 1)
        if self.death[2] == 0:
            self.die()
            raise DiedError(f"{stage}.{point}")

    async def _crash(self, error: BaseException) -> None:
        if self.is_dead:
            return
        # Whoever slept has no time left to let go: it ends, and what it was at is read again. Of
        # anybody else a step that does not end is a finding.
        if not (self.has_slept and isinstance(error, TimeoutError)):
            self.failures.append(error)
        self.die()

    # What happens to it.

    def die(self) -> None:
        """End at once: nothing of what is still done is durable."""
        if self.is_dead:
            return
        self.is_dead = True
        self.ended.set()
        self.broker.trace.note("dies", self.name)
        self._connection.cut()
        partitions = [task.task for stage in self._stages for task in stage._tasks.values()]
        for task in [*self._tasks, *partitions]:
            if task is not asyncio.current_task():
                task.cancel()

    @property
    def is_frozen(self) -> bool:
        """Whether it does nothing, though it lives."""
        return not self._awake.is_set() and not self.is_dead

    def freeze(self) -> None:
        """Do nothing any more, until awoken."""
        self.broker.trace.note("freezes", self.name)
        self.has_slept = True
        self._awake.clear()

    def awake(self) -> None:
        """Go on as if no time had passed."""
        self._awake.set()

    def stop(self) -> None:
        """Let go of everything in good order, and end."""
        self.is_stopping = True
        self._called.set()

    # Its life in the group.

    async def _live(self) -> None:
        while not self.is_stopping:
            await self.runs()
            try:
                self._deal = await self.group.join(self.name, self._number)
            except ShutOutError:
                self.die()
                return
            self._called.clear()
            await self.runs()
            self._number = self._deal.member
            await self._recover()
            tasks = [self._begin(self._fetch(*one)) for one in self._assigned()]
            tasks.append(self._begin(self._commit_by_and_by()))
            if not self.is_stopping:
                await self._called.wait()
            await self.runs()
            await self._let_go(tasks)
        self.die()

    async def _recover(self) -> None:
        """Read the changelogs on from where the disk knows them, a few records at a time."""
        for stage in self._stages:
            here = [TP(changelog_of(stage.name), partition) for partition in self._partitions()]
            for tp in here:
                known = stage.table.data.persisted_offset(tp)
                written = self.broker.log.changelogs.get(tp, [])
                left = [one for one in written if known is None or one.offset > known]
                while left:
                    await self.broker.answer()
                    await self.runs()
                    n = self.broker.draw.randint(1, _MOST_RECORDS)
                    stage.table.apply_changelog_batch(
                        cast(Any, [Recovered(tp, one) for one in left[:n]])
                    )
                    del left[:n]
            await stage.table.on_recovery_completed(set(here), set())

    def _partitions(self) -> tuple[int, ...]:
        return self._deal.partitions if self._deal is not None else ()

    def _assigned(self) -> Iterator[tuple[_Source, TP]]:
        for source in self._sources:
            for partition in self._partitions():
                yield source, TP(source.topic, partition)

    async def _fetch(self, source: _Source, tp: TP) -> None:
        """Hand over what is there, a few records at a time, from the first that is not durable."""
        position = self.broker.log.committed.get(tp, 0)
        while True:
            await self.broker.grown(tp, position)
            await self.broker.answer()
            await self.runs()
            end = position + self.broker.draw.randint(1, _MOST_RECORDS)
            records = self.broker.log.records[tp][position:end]
            position += len(records)
            source.queue.put_nowait(_Event(tp, Batch(records)))

    async def _let_go(self, tasks: list["asyncio.Task[None]"]) -> None:
        """Finish what is in flight, commit it, and forget it: Faust's order of a revocation."""
        for task in tasks:
            task.cancel()
        for source in self._sources:
            while not source.queue.empty():
                source.queue.get_nowait()
        revoked = {tp for _, tp in self._assigned()}
        for hook in self._reader.hooks:
            await hook(revoked)
        await self._commit()
        self._reader.progress.clear()
        self._committed = {}

    async def _commit_by_and_by(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_S)
            await self._commit()

    async def _commit(self) -> None:
        """Commit what is durable, if the group still takes it from this member."""
        progress, deal = dict(self._reader.progress), self._deal
        if progress == self._committed:
            return
        await self.runs()
        await self.broker.answer()
        await self.runs()
        if deal is not None and self.group.takes(self.name, deal):
            self.broker.log.committed |= progress
            self._committed = progress
            self.broker.trace.note("commits", self.name, sorted(progress.items()))

    async def _beat(self) -> None:
        """Ask the group whether all is as it was told."""
        while True:
            await asyncio.sleep(HEARTBEAT_S * (0.5 + self.broker.draw.random()))
            await self.runs()
            if self._deal is None or self.broker.left_s():
                continue
            if self.group.is_shut_out(self.name, self._deal):
                self.die()
            elif not self.group.hears(self.name, self._deal):
                self._called.set()
