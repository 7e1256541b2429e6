"""The role that learns: days are kept when they are over, updates run one at a time."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import REGISTRY

from agents import learning
from agents.learning import SOURCE, Learning, OpenDays
from streams import metrics
from streams.model_updates import ModelUpdate
from tables.learning import DAY_NS, Day, prepared_of
from tables.stores.bar_journal import BarJournal
from tables.stores.jobs import Job, Jobs
from tests.unit.tables.test_learning import a_slice

PLACES = [TopicPartition(SOURCE, n) for n in (0, 1)]


class Said(NamedTuple):
    """A record as a consumer gives it."""

    offset: int
    value: bytes


class Broker:
    """A consumer and a producer that remember."""

    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}
        self.is_gone = False
        self.sent: list[tuple[str, ModelUpdate]] = []

    def partitions_for_topic(self, _topic: str) -> set[int]:
        """Return two partitions."""
        return {0, 1}

    async def getmany(self, **_options: Any) -> dict[TopicPartition, list[Said]]:  # noqa: ANN401  not looked at
        """Have nothing."""
        await asyncio.sleep(0.01)
        return {}

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """Remember offsets, unless the group went on without this one."""
        if self.is_gone:
            raise CommitFailedError
        self.committed |= {place: each.offset for place, each in offsets.items()}

    async def send_and_wait(self, topic: str, value: bytes, key: bytes) -> None:
        """Remember an event."""
        assert key is not None
        self.sent.append((topic, msgspec.json.decode(value, type=ModelUpdate)))


class Place(NamedTuple):
    """A learner with what it works on."""

    learning: Learning
    broker: Broker
    journal: BarJournal
    jobs: Jobs


Run = Callable[[Jobs, Job], Awaitable[None]]


def place(tmp_path: Path, run: Run | None = None) -> Place:
    """Give a learner whose updates are run by ``run``, at once and well if there is none."""
    broker, journal = Broker(), BarJournal(tmp_path / "bars")
    jobs = Jobs(tmp_path / "jobs")

    async def well(job: Job) -> None:
        if run is not None:
            await run(jobs, job)
            return
        job.state, job.updates = "done", [an_update(job)]
        jobs.put(job)

    learning = Learning(broker, broker, "", journal, jobs, "safe", well)
    return Place(learning, broker, journal, jobs)


def an_update(job: Job) -> ModelUpdate:
    """Give the event of a job that promoted its candidate."""
    return ModelUpdate(
        timestamp="2026-01-01T00:00:00Z",
        job_id=job.job_id,
        model_id="m",
        update_type="online_update",
        outcome="promoted",
        before="a",
        after="b",
        is_learning=False,
        from_base_fraction=0.0004,
    )


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened, a few seconds at most."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110  what is waited for is a file
            await asyncio.sleep(0.01)


def said(day: int, offset: int, partition: int = 0, symbols: tuple[str, ...] = ("A",)) -> Said:
    """Give the slice of a day's bar."""
    return Said(offset, a_slice((day + 1) * DAY_NS, list(symbols), partition).encode())


def test_open_days_when_a_partition_is_behind_then_the_day_waits() -> None:
    """A day is over when every partition has gone past it."""
    days = OpenDays(2)
    days.add(0, 5, a_slice(3 * DAY_NS, ["A"]))
    days.add(0, 6, a_slice(4 * DAY_NS, ["A"]))
    assert days.over() == []
    days.add(1, 9, a_slice(4 * DAY_NS, ["B"], 1))
    (day,) = days.over()
    assert (day.number, day.offsets) == (2, {0: (5, 5)})
    assert days.begins() == {0: 6, 1: 9}
    assert days.over() == []


async def test_take_when_a_day_is_over_then_it_is_kept_and_an_update_is_asked_for(
    tmp_path: Path,
) -> None:
    """Two partitions are one file, the offsets go on behind it, one job is about the last day."""
    made = place(tmp_path)
    await made.learning.take(
        {
            PLACES[0]: [said(10, 0), said(11, 1), said(12, 2)],
            PLACES[1]: [said(10, 7, 1, ("B",)), said(11, 8, 1, ()), said(12, 9, 1, ("B",))],
        }
    )
    assert made.journal.days() == (10, 11)
    assert made.journal.stretch([10]).prepared.history.symbols == ("A", "B")
    assert made.broker.committed == {PLACES[0]: 2, PLACES[1]: 9}
    (job,) = made.jobs.all()
    assert (job.trigger, job.day, job.state) == ("daily", 11, "queued")
    again = made.learning.ask("daily", "safe", 11, job.job_id)
    assert again == job
    await made.learning.take({PLACES[0]: [said(13, 3)], PLACES[1]: [said(13, 10, 1)]})
    assert [(each.day, each.state) for each in made.jobs.all()] == [
        (11, "cancelled"),
        (12, "queued"),
    ]


async def test_take_when_a_day_comes_again_in_part_then_the_whole_one_stays(
    tmp_path: Path,
) -> None:
    """A stage repeats slices, a topic loses its beginning: neither makes a fragment of a day."""
    made = place(tmp_path)
    whole = {
        PLACES[0]: [said(10, 0), said(11, 1)],
        PLACES[1]: [said(10, 7, 1, ("B",)), said(11, 8, 1, ("B",))],
    }
    await made.learning.take(whole)
    await made.learning.take({PLACES[1]: [said(10, 9, 1, ("B",)), said(12, 10, 1, ("B",))]})
    again = place(tmp_path)
    await again.learning.take(
        {
            PLACES[0]: [said(10, 0), said(11, 1), said(12, 2)],
            PLACES[1]: [said(11, 8, 1, ("B",)), said(12, 10, 1, ("B",))],
        }
    )
    assert again.journal.days() == (10, 11)
    for day in (10, 11):
        assert again.journal.stretch([day]).prepared.history.symbols == ("A", "B")


async def test_take_when_offsets_cannot_be_committed_then_goes_on(tmp_path: Path) -> None:
    """A broker that stalled lets members go: what was not committed is read again, and is kept."""
    made = place(tmp_path)
    made.broker.is_gone = True
    await made.learning.take(
        {PLACES[0]: [said(10, 0), said(11, 1)], PLACES[1]: [said(10, 7, 1), said(11, 8, 1)]}
    )
    assert made.broker.committed == {}
    (job,) = made.jobs.all()
    assert job.day == 10


async def test_work_when_it_died_behind_a_day_then_asks_about_it(tmp_path: Path) -> None:
    """A day that is kept is not given again: the update about it is asked for at the start."""
    made = place(tmp_path)
    made.journal.keep(Day(5, prepared_of([a_slice(6 * DAY_NS, ["A"])]), {0: (1, 1)}))
    for _ in range(2):
        work = asyncio.create_task(made.learning.work())
        await until(lambda: bool(made.broker.sent))
        work.cancel()
        await asyncio.wait([work])
    (job,) = made.jobs.all()
    assert (job.trigger, job.day, job.state) == ("daily", 5, "done")
    assert len(made.broker.sent) == 1


async def test_work_when_an_update_ends_half_way_then_what_was_done_is_told_too(
    tmp_path: Path,
) -> None:
    """The champion went back, then something failed: both are told, each once."""

    async def half(jobs: Jobs, job: Job) -> None:
        job.state, job.updates = "running", [an_update(job)]
        jobs.put(job)

    made = place(tmp_path, half)
    made.learning.ask("request", "safe", -1, "half")
    work = asyncio.create_task(made.learning.work())
    await until(lambda: len(made.broker.sent) == 2)
    work.cancel()
    await asyncio.wait([work])
    assert [update.outcome for _, update in made.broker.sent] == ["promoted", "failed"]


async def test_work_when_a_job_waits_then_it_runs_and_is_told_once(tmp_path: Path) -> None:
    """One that was under way when the role died is begun anew; what was told is not told again."""
    made = place(tmp_path)
    told = Job(job_id="told", trigger="request", requested_ns=1, state="done", told=1)
    told.updates = [an_update(told)]
    made.jobs.put(told)
    made.jobs.put(Job(job_id="died", trigger="request", requested_ns=2, state="running"))
    work = asyncio.create_task(made.learning.work())
    await until(lambda: bool(made.broker.sent))
    job = made.learning.find("died")
    assert job is not None
    assert job.state == "done"
    made.learning.ask("request", "safe", -1, "later")
    await until(lambda: len(made.broker.sent) == 2)
    work.cancel()
    await asyncio.wait([work])
    assert metrics.LEARNING_FROM_BASE._value.get() == 0.0004
    assert [(topic, update.job_id) for topic, update in made.broker.sent] == [
        ("model-updates", "died"),
        ("model-updates", "later"),
    ]


async def test_work_when_a_person_ran_an_update_then_it_is_told_and_never_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options were the command's: one that was killed failed, one that runs goes on."""
    monkeypatch.setattr(learning, "_LOOK_S", 0.02)
    made = place(tmp_path)
    made.jobs.put(Job(job_id="killed", trigger="command", requested_ns=1, state="running"))
    work = asyncio.create_task(made.learning.work())
    await until(lambda: len(made.broker.sent) == 1)
    by_hand = Job(job_id="done", trigger="command", requested_ns=2, state="done")
    by_hand.updates = [an_update(by_hand)]
    made.jobs.put(by_hand)
    await until(lambda: len(made.broker.sent) == 2)
    work.cancel()
    await asyncio.wait([work])
    told = [(update.job_id, update.outcome) for _, update in made.broker.sent]
    assert told == [("killed", "failed"), ("done", "promoted")]
    made.jobs.put(Job(job_id="runs", trigger="command", requested_ns=3, state="running"))
    with made.jobs.only_one():
        work = asyncio.create_task(made.learning.work())
        await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.wait([work])
    running = made.learning.find("runs")
    assert running is not None
    assert running.state == "running"


async def test_work_when_a_process_dies_then_the_job_failed_and_says_so(tmp_path: Path) -> None:
    """A failure is told on the topic, and the next job runs."""

    async def die(_jobs: Jobs, _job: Job) -> None:
        """End without a word."""

    made = place(tmp_path, die)
    made.learning.ask("request", "safe", -1, "dead")
    work = asyncio.create_task(made.learning.work())
    await until(lambda: bool(made.broker.sent))
    work.cancel()
    await asyncio.wait([work])
    ((_, update),) = made.broker.sent
    assert update.outcome == "failed"
    assert "logs/learn.log" in update.detail


@pytest.mark.parametrize(
    ("ended", "n_failed"),
    [
        ((), 0),
        (("failed", "done"), 0),
        (("done", "failed", "cancelled", "failed"), 2),
        (("failed", "waits", "failed"), 2),
    ],
)
async def test_work_when_it_begins_then_failures_in_a_row_are_counted_from_the_jobs(
    tmp_path: Path, ended: tuple[str, ...], n_failed: int
) -> None:
    """Who is told after two failures is told after a restart, too; a cancelled one is none.

    Nor does one that waits for more days say that anything was mended.
    """
    made = place(tmp_path)
    for number, name in enumerate(ended):
        state: Any = "done" if name == "waits" else name
        job = Job(job_id=f"j{number}", trigger="daily", requested_ns=number, state=state)
        if name == "done":
            job.updates, job.told = [an_update(job)], 1
        made.jobs.put(job)
    work = asyncio.create_task(made.learning.work())
    await asyncio.sleep(0)
    assert REGISTRY.get_sample_value("tradewind_learning_failed_updates") == n_failed
    work.cancel()
    await asyncio.wait([work])


async def test_cancel_when_a_job_runs_then_its_process_ends_and_the_next_runs(
    tmp_path: Path,
) -> None:
    """What waits is cancelled at once, what runs is ended, what is over stays."""
    started: list[str] = []

    async def hang(_jobs: Jobs, job: Job) -> None:
        started.append(job.job_id)
        await asyncio.sleep(60)

    made = place(tmp_path, hang)
    for name in ("one", "two"):
        made.learning.ask("request", "safe", -1, name)
    work = asyncio.create_task(made.learning.work())
    await until(lambda: started == ["one"])
    made.learning.cancel("two")
    made.learning.cancel("one")
    await until(lambda: len(made.broker.sent) == 2)
    assert made.learning.cancel("none") is None
    ended = made.learning.cancel("one")
    assert ended is not None
    assert ended.state == "cancelled"
    work.cancel()
    await asyncio.wait([work])
    assert {update.outcome for _, update in made.broker.sent} == {"cancelled"}
    assert started == ["one"]


async def test_work_when_the_role_ends_then_the_update_ends_and_waits_for_the_next(
    tmp_path: Path,
) -> None:
    """A role that stops takes its update along; the next role begins it anew."""
    started = asyncio.Event()

    async def hang(jobs: Jobs, job: Job) -> None:
        job.state = "running"
        jobs.put(job)
        started.set()
        await asyncio.sleep(60)

    made = place(tmp_path, hang)
    made.learning.ask("request", "safe", -1, "one")
    work = asyncio.create_task(made.learning.work())
    await asyncio.wait_for(started.wait(), 10)
    work.cancel()
    await asyncio.wait([work])
    next_ = place(tmp_path)
    work = asyncio.create_task(next_.learning.work())
    await until(lambda: bool(next_.broker.sent))
    work.cancel()
    await asyncio.wait([work])
    ((_, update),) = next_.broker.sent
    assert update.outcome == "promoted"


async def test_work_when_the_role_was_away_then_shows_the_last_distance(tmp_path: Path) -> None:
    """A restart does not hide that nothing is learned, and a new stack has no distance at all."""
    made = place(tmp_path)
    over = Job(job_id="over", trigger="daily", requested_ns=1, state="done", told=1)
    over.updates = [an_update(over)]
    made.jobs.put(over)
    metrics.LEARNING_FROM_BASE.set(math.nan)
    work = asyncio.create_task(made.learning.work())
    await until(lambda: metrics.LEARNING_FROM_BASE._value.get() == 0.0004)
    work.cancel()
    await asyncio.wait([work])


@pytest.mark.parametrize("n", [0, 1])
async def test_follow_when_nothing_comes_then_nothing_is_asked(tmp_path: Path, n: int) -> None:
    """An open day alone starts no update."""
    made = place(tmp_path)
    await made.learning.take({PLACES[0]: [said(day, day) for day in range(n)]} if n else {})
    assert made.jobs.all() == []
