"""The loop that every stage shares: order, one await per batch, log before progress, crash."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from faust.types import TP

from agents.stage import Output, Reader, Snapshot, Stage
from streams import metrics
from streams.dead_letters import DeadLetter, Origin
from streams.transport import Batch, Consumer, Outgoing, Producer, Record
from tables.stamped import Stamped, StampedTable
from tests.builders import record

TOPIC = "r1.market-ticks"

Entry = tuple[Any, ...]


class FakeConsumer(Consumer):
    """A consumer that writes down the progress it is told."""

    def __init__(self, log: list[Entry]) -> None:
        self.log = log
        self.hooks: list[Any] = []

    def advance(self, tp: TP, next_offset: int) -> None:
        """Write down progress."""
        self.log.append(("progress", tp.partition, next_offset))

    def on_revoke(self, hook: Any) -> None:  # noqa: ANN401  signature of the base
        """Keep the hook."""
        self.hooks.append(hook)


class FakeProducer(Producer):
    """A producer that writes down what it sends, or fails."""

    def __init__(self, log: list[Entry]) -> None:
        self.log = log
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        # Gates of single sends, by their first value.
        self.gates: dict[bytes, asyncio.Event] = {}

    async def send_all(
        self, records: Iterable[Outgoing], handed_over: Callable[[], None] = lambda: None
    ) -> None:
        """Wait for the gate, then answer as the broker would."""
        sent = list(records)
        handed_over()
        gate = self.gates.get(sent[0].value, self.gate)
        if gate is not None:
            await gate.wait()
        if self.failure is not None:
            raise self.failure
        self.log.append(("sent", [one.value for one in sent], sent))


class FakeTable:
    """A table that writes down its snapshots."""

    def __init__(self, log: list[Entry]) -> None:
        self.log = log
        self.states: dict[tuple[int, bytes], Stamped] = {}

    def read(self, event: Any, key: bytes) -> Stamped | None:  # noqa: ANN401  Faust's event
        """Return the state of a key in the event's partition."""
        return self.states.get((event.message.partition, key))

    async def write(self, event: Any, key: bytes, stamped: Stamped) -> None:  # noqa: ANN401  Faust's event
        """Keep a state."""
        self.states[event.message.partition, key] = stamped
        self.log.append(("kept", stamped))


class Echo:
    """A fold that sends what it gets, twice for ``b"two"``, and dead-letters ``b"bad"``.

    Parameters
    ----------
    read
        Its table.
    """

    def __init__(self, read: Reader) -> None:
        kept = read(b"k")
        self.next_offset = 0 if kept is None else kept.next_offset
        self.is_due = False

    def apply(self, said: Record) -> Iterable[Output | DeadLetter]:
        """Answer a record."""
        self.next_offset = said.offset + 1
        value = said.value or b""
        if value == b"boom":
            raise RuntimeError("boom")
        self.is_due = value == b"due"
        if value == b"bad":
            origin = Origin(said.topic, said.partition, said.offset)
            return [DeadLetter(origin, "echo", "BAD", "why", value)]
        return [Output("out", b"key", value, [])] * (2 if value == b"two" else 1)

    def due(self) -> bool:
        """Tell whether the last record asked for a snapshot."""
        return self.is_due

    def snapshot(self) -> Snapshot:
        """Return the offset as the state."""
        self.is_due = False
        return Snapshot({b"k": Stamped(self.next_offset, b"s")}, self.next_offset)


class World:
    """A stage, its broker, and a stream that the test feeds."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.consumer = FakeConsumer(self.log)
        self.producer = FakeProducer(self.log)
        self.table = FakeTable(self.log)
        self.crashes: list[BaseException] = []
        app = SimpleNamespace(
            consumer=self.consumer,
            producer=self.producer,
            loop=asyncio.get_running_loop(),
            crash=self.crash,
            monitor=SimpleNamespace(tp_end_offsets={TP(TOPIC, 0): 10}),
        )
        self.stage = Stage(
            cast(faust.App, app),
            "echo",
            "r1.",
            cast(StampedTable, self.table),
            lambda _partition, read: Echo(read),
        )
        self.source: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.create_task(self.stage.run(cast(Any, self)))

    async def crash(self, error: BaseException) -> None:
        """Take the error that ends the worker."""
        self.crashes.append(error)

    async def events(self) -> AsyncIterator[Any]:
        """Yield what the test feeds."""
        while True:
            yield await self.source.get()

    def feed(self, offset: int, *values: bytes, partition: int = 0, timestamp_ms: int = 0) -> None:
        """Feed one batch."""
        batch = Batch(
            record(value, offset + i, topic=TOPIC, partition=partition)._replace(
                timestamp_ms=timestamp_ms
            )
            for i, value in enumerate(values)
        )
        message = SimpleNamespace(tp=TP(TOPIC, partition), partition=partition)
        self.source.put_nowait(SimpleNamespace(message=message, value=batch))

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def revoke(self, *partitions: int) -> None:
        """Take partitions away, as a rebalance does."""
        for hook in self.consumer.hooks:
            await hook({TP(TOPIC, p) for p in partitions})

    def sent(self) -> list[list[bytes]]:
        """Return the values of each send."""
        return [entry[1] for entry in self.log if entry[0] == "sent"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Run a stage until the test is over."""
    made = World()
    yield made
    made.task.cancel()
    await made.revoke(0, 1)


async def test_run_when_batches_come_then_sends_each_once_in_order(world: World) -> None:
    """One send per step, the outputs of its records in order, under the run's prefix."""
    world.feed(0, b"one", b"two", b"three")
    await world.settle()
    assert world.sent() == [[b"one", b"two", b"two", b"three"]]
    ((_, _, outgoing),) = world.log
    assert {(o.topic, o.key, o.partition) for o in outgoing} == {("r1.out", b"key", None)}


async def test_run_when_more_waits_then_takes_it_together(world: World) -> None:
    """What came while the broker was awaited goes in one step, still in order."""
    world.producer.gate = asyncio.Event()
    world.feed(0, b"0")
    await world.settle()
    for offset in range(1, 4):
        world.feed(offset, b"%d" % offset)
    await world.settle()
    assert world.sent() == []
    world.producer.gate.set()
    await world.settle()
    assert world.sent() == [[b"0"], [b"1", b"2", b"3"]]


def lag() -> list[tuple[dict[str, str], float]]:
    """Return the lag of each partition of the stage that has one."""
    (found,) = metrics.LAG_RECORDS.collect()
    all_stages = [(sample.labels, sample.value) for sample in found.samples]
    return [(labels, value) for labels, value in all_stages if labels["stage"] == "echo"]


async def test_run_when_the_broker_has_more_then_says_how_much(world: World) -> None:
    """Ten records are there: none folded yet, then three, and nobody is behind once it has left."""
    where = {"stage": "echo", "partition": "0"}
    world.producer.gate = asyncio.Event()
    world.feed(4, b"a", b"b", b"c")
    await world.settle()
    assert lag() == [(where, 6.0)]
    world.producer.gate.set()
    await world.settle()
    assert lag() == [(where, 3.0)]
    await world.revoke(0)
    assert lag() == []


async def test_run_when_a_record_is_old_then_says_how_long_it_took(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of half a second ago counts as that, and one from the future as no time."""
    now_ms = 1_000_000
    monkeypatch.setattr("agents.stage.clock.wall_ns", lambda: now_ms * 1_000_000)
    child = metrics.DELAY_SECONDS.labels("echo")
    before = child._sum.get()
    world.feed(0, b"one", timestamp_ms=now_ms - 500)
    world.feed(1, b"one", timestamp_ms=now_ms + 500)
    await world.settle()
    assert child._sum.get() - before == pytest.approx(0.5)


async def test_send_when_a_record_is_bad_then_goes_to_the_dead_letters(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Key is the origin, value the raw bytes, headers the reason; a line names the first."""
    with caplog.at_level(logging.WARNING, "tradewind.stage"):
        world.feed(7, b"bad", b"good", b"bad")
        await world.settle()
    ((_, _, (first, good, second)),) = world.log
    assert (first.topic, first.key, first.value) == (
        "r1.dead-letters",
        b"r1.market-ticks:0:7:0",
        b"bad",
    )
    assert dict(first.headers)["reason"] == b"BAD"
    assert (good.topic, second.key) == ("r1.out", b"r1.market-ticks:0:9:0")
    assert [r.getMessage() for r in caplog.records] == [
        "echo: 2 dead letters BAD, first r1.market-ticks:0:7:0: why"
    ]


async def test_run_when_partitions_are_revoked_then_keeps_state_before_progress(
    world: World,
) -> None:
    """The step in flight ends, its state is kept, then progress is told, then the task is gone.

    Only then is it said that nothing more will come of it.
    """
    world.stage.on_revoked.append(lambda: world.log.append(("quiet",)))
    world.feed(0, b"one")
    await world.settle()
    await world.revoke(0)
    assert [entry[0] for entry in world.log] == ["sent", "kept", "progress", "quiet"]
    assert world.log[2] == ("progress", 0, 1)
    assert world.stage._tasks == {}


async def test_run_when_a_step_does_not_end_then_a_revocation_ends_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker takes nothing: the group waits for nobody, and no progress is told."""
    monkeypatch.setattr("agents.stage._STOP_S", 0.05)
    world.producer.gate = asyncio.Event()
    world.feed(0, b"one")
    await world.settle()
    await world.revoke(0)
    (error,) = world.crashes
    assert "echo partition 0: a step did not end within 0.05 s" in str(error)
    assert world.log == []


async def test_run_when_a_partition_comes_back_then_begins_from_its_table(world: World) -> None:
    """The new owner reads the snapshot of the old one."""
    world.feed(0, b"one")
    await world.settle()
    await world.revoke(0)
    world.feed(1, b"two")
    await world.settle()
    await world.revoke(0)
    assert [entry[2] for entry in world.log if entry[0] == "progress"] == [1, 2]
    assert world.table.states == {(0, b"k"): Stamped(2, b"s")}


async def test_run_when_others_are_revoked_then_stays(world: World) -> None:
    """Only what goes is stopped."""
    world.feed(0, b"one")
    await world.settle()
    await world.revoke(1)
    assert list(world.stage._tasks) == [TP(TOPIC, 0)]


async def test_run_when_nothing_was_folded_then_revoking_keeps_nothing(world: World) -> None:
    """A clean task writes no snapshot."""
    world.feed(0, b"one")
    await world.settle()
    await world.revoke(0)
    n_kept = len(world.log)
    await world.revoke(0)
    assert len(world.log) == n_kept


async def test_run_when_the_fold_is_due_then_keeps_its_state_in_the_pause(world: World) -> None:
    """A snapshot that is due is taken when nothing comes for a while, after its outputs."""
    world.feed(0, b"due")
    await asyncio.sleep(0.3)
    assert [entry[0] for entry in world.log] == ["sent", "kept", "progress"]
    world.feed(1, b"more")
    await world.settle()
    assert world.sent()[-1] == [b"more"]


async def test_run_when_little_was_folded_then_progress_is_kept_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quiet topic's state is durable long before its log is cut off by age."""
    monkeypatch.setattr("agents.stage._OLDEST_PROGRESS_S", 0.05)
    world.feed(0, b"one")
    await asyncio.sleep(0.3)
    assert [entry[0] for entry in world.log] == ["sent", "kept", "progress"]
    world.feed(1, b"more")
    await world.settle()
    assert world.sent()[-1] == [b"more"]


async def test_run_when_nothing_changes_for_long_then_its_state_is_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sleeper that wakes up wrote an older state behind it: the owner's stands last again."""
    monkeypatch.setattr("agents.stage._OLDEST_PROGRESS_S", 0.05)
    monkeypatch.setattr("agents.stage._WRITE_AGAIN_S", 0.1)
    world.feed(0, b"one")
    await asyncio.sleep(0.4)
    kept = [entry[1] for entry in world.log if entry[0] == "kept"]
    assert len(kept) >= 3
    assert set(kept) == {Stamped(1, b"s")}
    assert [entry for entry in world.log if entry[0] == "progress"] == [("progress", 0, 1)]
    await world.revoke(0)
    n_entries = len(world.log)
    await asyncio.sleep(0.2)
    assert len(world.log) == n_entries


async def test_run_when_there_is_no_pause_then_keeps_its_state_all_the_same(world: World) -> None:
    """Records without an end do not put a due snapshot off for ever."""
    for offset in range(200):
        world.feed(offset, b"due")
        await world.settle()
    assert "kept" in [entry[0] for entry in world.log]


@pytest.mark.parametrize("cause", ["fold", "send"])
async def test_run_when_a_step_fails_then_the_worker_crashes(
    world: World, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error is neither skipped nor passed as progress: restart is recovery."""
    if cause == "send":
        world.producer.failure = ConnectionError("refused")
    with caplog.at_level(logging.CRITICAL, "tradewind.stage"):
        world.feed(0, b"boom" if cause == "fold" else b"one")
        await world.settle()
    (error,) = world.crashes
    assert isinstance(error, RuntimeError | ConnectionError)
    assert "echo partition 0 failed" in caplog.text
    assert [entry for entry in world.log if entry[0] in ("kept", "progress")] == []
