"""``regime-probabilities -> days of bars; a day that is over -> an update -> model-updates``.

A role of its own, off the path. It keeps every day's bars with the features and symbols that the
stages saw, and starts one update when a day of event time is over, or when somebody asks. An update
runs in a process of its own, one at a time, so it can be ended at any moment; one that was under
way when the role died is begun anew; what a person runs by hand is told, and never taken over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from agents.archive_gaps import commit
from agents.topology import prefix_of
from streams import metrics, topics
from streams.clock import wall_ns
from streams.ids import job_id
from streams.slices import Slice
from tables.learning import Day, day_of, prepared_of
from tables.stores.bar_journal import BarJournal
from tables.stores.errors import StoreConflict
from tables.stores.jobs import Job, Jobs

log = logging.getLogger("tradewind.learning")

STAGE = "learning"
SOURCE = topics.REGIME_PROBABILITIES.name

_POLL_MS = 500
_MOST_RECORDS = 256
_END_S = 20.0
_LOOK_S = 30.0

_JSON = msgspec.json.Encoder()

Placed = tuple[int, Slice]


def group_of(run: str) -> str:
    """Return the consumer group of a run's learner."""
    return f"{prefix_of(run)}tradewind-{STAGE}"


class OpenDays:
    """Slices of days that are not over, by partition, with their offsets.

    Parameters
    ----------
    n_partitions
    first
        The first day that is not kept yet. A slice of an earlier one counts for nothing: after a
        restart, or where the topic has lost its beginning, it would be a fragment of a whole day.
    """

    def __init__(self, n_partitions: int, first: int = 0) -> None:
        self._slices: list[dict[int, list[Placed]]] = [{} for _ in range(n_partitions)]
        self._latest = [-1] * n_partitions
        self._first = first

    def add(self, partition: int, offset: int, slice_: Slice) -> None:
        """Take a slice; one of a day that was given away counts for nothing."""
        day = day_of(slice_.meta.close_ns)
        self._latest[partition] = max(self._latest[partition], day)
        if day >= self._first:
            self._slices[partition].setdefault(day, []).append((offset, slice_))

    def over(self) -> list[Day]:
        """Give away the days that every partition has gone past, the earliest first."""
        until = min(self._latest)
        numbers = sorted({day for of in self._slices for day in of if day < until})
        self._first = max(self._first, until)
        return [day for number in numbers if (day := self._day(number)) is not None]

    def begins(self) -> dict[int, int]:
        """Return the first offset of each partition that is still needed."""
        return {
            partition: min(placed[0][0] for placed in of.values())
            for partition, of in enumerate(self._slices)
            if of
        }

    def _day(self, number: int) -> Day | None:
        placed = {p: of.pop(number) for p, of in enumerate(self._slices) if number in of}
        slices = [slice_ for of in placed.values() for _, slice_ in of]
        if not any(each.n_rows for each in slices):
            return None
        offsets = {p: (of[0][0], of[-1][0]) for p, of in placed.items()}
        return Day(number, prepared_of(slices), offsets)


Run = Callable[[Job], Awaitable[None]]
Trigger = Literal["daily", "request"]


class Learning:
    """The learner of one run.

    Parameters
    ----------
    consumer, producer
        Of the run's regimes, and for events; started and stopped by the caller.
    prefix
        Of the run's topics.
    journal, jobs
        Days of bars, and updates that were asked for.
    mode
        How daily updates are made.
    run
        Runs a job in a process of its own; its file says how it ended.
    """

    def __init__(  # noqa: PLR0913, PLR0917  its parts
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        prefix: str,
        journal: BarJournal,
        jobs: Jobs,
        mode: str,
        run: Run,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._prefix = prefix
        self._journal = journal
        self._jobs = jobs
        self._mode = mode
        self._run = run
        self._days: OpenDays | None = None
        self._asked = asyncio.Event()
        self._current: tuple[str, asyncio.Task[None]] | None = None
        metrics.MODEL_UPDATES.labels("online_update", "refused")
        metrics.MODEL_UPDATES.labels("rollback", "rolled_back")

    async def work(self) -> None:
        """Keep days and run jobs until cancelled; an error of either ends both."""
        for job in self._jobs.all():
            _show(job)
            if job.state == "running" and job.trigger == "command":
                self._end_abandoned(job)
            elif job.state == "running":
                job.state = "queued"
                self._jobs.put(job)
        for last in self._journal.days()[-1:]:
            # A role that died between keeping a day and asking asks now; twice is once.
            self._ask_about(last)
        self._show_failed()
        self._asked.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._work_off())

    def _end_abandoned(self, job: Job) -> None:
        """End a job that was run by hand if its process is gone: its options were that one's."""
        with suppress(StoreConflict), self._jobs.only_one():
            job = self._jobs.find(job.job_id) or job
            if job.state != "running":
                return
            job.state, job.detail = "failed", "its process was ended; run the command again"
            job.updates.append(job.unmade(wall_ns()))
            self._jobs.put(job)

    async def _follow(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            if fetched:
                await self.take(fetched)

    async def take(self, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Take records; keep the days that end with them, and ask for an update about the last."""
        if self._days is None:
            n_partitions = len(self._consumer.partitions_for_topic(self._prefix + SOURCE))
            kept = self._journal.days()
            self._days = OpenDays(n_partitions, kept[-1] + 1 if kept else 0)
        for place, records in fetched.items():
            for record in records:
                # The regime stage wrote it: what it cannot have written is a defect, and ends this.
                self._days.add(place.partition, record.offset, Slice.decode(record.value))
        over = self._days.over()
        for day in over:
            await asyncio.to_thread(self._journal.keep, day)
        if over:
            await commit(
                self._consumer,
                {
                    TopicPartition(self._prefix + SOURCE, partition): OffsetAndMetadata(offset, "")
                    for partition, offset in self._days.begins().items()
                },
            )
            self._supersede()
            self._ask_about(over[-1].number)

    def _ask_about(self, day: int) -> None:
        self.ask("daily", self._mode, day, job_id(self._prefix, day))

    def _supersede(self) -> None:
        """Let daily updates go that still wait: the one about the last day has their bars too."""
        for job in self._jobs.all():
            if job.trigger == "daily" and job.state == "queued":
                job.state, job.detail = "cancelled", "a later day is over"
                self._jobs.put(job)

    def ask(self, trigger: Trigger, mode: str, day: int, name: str) -> Job:
        """Ask for an update; the same name twice is the same job."""
        known = self._jobs.find(name)
        if known is not None:
            return known
        job = Job(job_id=name, trigger=trigger, requested_ns=wall_ns(), mode=mode, day=day)
        self._jobs.put(job)
        self._asked.set()
        return job

    def find(self, name: str) -> Job | None:
        """Return a job as it stands."""
        return self._jobs.find(name)

    def cancel(self, name: str) -> Job | None:
        """Let a job end, and return it as it stands; one that is over stays as it is."""
        job = self._jobs.find(name)
        if job is None or job.is_over:
            return job
        if self._current is not None and self._current[0] == name:
            self._current[1].cancel()
            return job
        job.state, job.detail = "cancelled", "cancelled before it ran"
        job.updates.append(job.unmade(wall_ns()))
        self._jobs.put(job)
        self._asked.set()
        return job

    async def _work_off(self) -> None:
        while True:
            # Commands that are run by hand ask nobody, and what they did is told all the same.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._asked.wait()
            self._asked.clear()
            for name in [job.job_id for job in self._jobs.all()]:
                # Read again: it may have been cancelled while another one ran.
                job = self._jobs.find(name)
                if job is not None:
                    await self._finish(job)

    async def _finish(self, job: Job) -> None:
        """Run a job that waits, and tell what became of one that is over."""
        if job.state == "queued":
            task = asyncio.create_task(self._work_on(job))
            self._current = (job.job_id, task)
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                # The role ends: the update goes with it, and is begun anew by the next.
                task.cancel()
                await asyncio.wait([task], timeout=_END_S)
                raise
            finally:
                self._current = None
            job = self._ended(job, task)
        if job.is_over and job.told < len(job.updates):
            await self._tell(job)

    async def _work_on(self, job: Job) -> None:
        await self._run(job)

    def _ended(self, asked: Job, task: "asyncio.Task[None]") -> Job:
        job = self._jobs.find(asked.job_id) or asked
        if not job.is_over:
            job.state = "cancelled" if task.cancelled() else "failed"
            job.detail = "its process ended; logs/learn.log of the stack says how"
            job.updates.append(job.unmade(wall_ns()))
        if job.state == "failed":
            metrics.LEARNING_FAILURES.inc()
            log.error("update %s failed: %s", job.job_id, job.detail)
        _show(job)
        for update in job.updates:
            if update.is_learning is False:
                log.warning("update %s is not learning: %s", job.job_id, update.from_base_fraction)
        self._jobs.put(job)
        self._show_failed()
        return job

    def _show_failed(self) -> None:
        """Count the failures since the last update that was made; a restart counts them again.

        One that was done for want of days made nothing, and says nothing about the failures.
        """
        ended = [
            job.state
            for job in self._jobs.all()
            if job.state == "failed" or (job.state == "done" and job.updates)
        ]
        n_done = len(ended) - ended[::-1].index("done") if "done" in ended else 0
        metrics.LEARNING_FAILED.set(len(ended) - n_done)

    async def _tell(self, job: Job) -> None:
        for update in job.updates[job.told :]:
            await self._producer.send_and_wait(
                self._prefix + topics.MODEL_UPDATES.name,
                _JSON.encode(update),
                key=update.model_id.encode(),
            )
            metrics.MODEL_UPDATES.labels(update.update_type, update.outcome).inc()
            job.told += 1
            self._jobs.put(job)


def _show(job: Job) -> None:
    """Show how far the last candidate is from its fit, behind a restart as well."""
    for update in job.updates:
        if update.from_base_fraction is not None:
            metrics.LEARNING_FROM_BASE.set(update.from_base_fraction)
        if update.moved_fraction is not None:
            metrics.LEARNING_MOVED.set(update.moved_fraction)
