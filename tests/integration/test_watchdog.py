"""The watchdog on a real broker: a stage that waits for what never comes ends its app."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from agents.stage import Output, Snapshot, Stage
from agents.watchdog import GroupStuck, StageStuck, TopicGone, Watchdog, Watched
from streams import away
from streams.dead_letters import DeadLetter
from streams.transport import Outgoing, Record, consumer_of, producer_of
from tables.stamped import Stamped, StampedTable
from tests.integration.small_app import (
    batches,
    created,
    outgoing,
    running,
    small_app,
    taking,
    until,
)

pytestmark = pytest.mark.broker


class Counting:
    """A fold that counts, and wants its state kept after every record."""

    next_offset = 0

    def apply(self, said: Record) -> Iterable[Output | DeadLetter]:
        """Take a record."""
        self.next_offset = said.offset + 1
        return ()

    def due(self) -> bool:
        """Want it at once."""
        return True

    def snapshot(self) -> Snapshot:
        """Return the count."""
        return Snapshot({b"k": Stamped(self.next_offset, b"s")}, self.next_offset)


async def test_stage_when_its_table_never_answers_then_the_app_ends_and_says_so(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it folds and keeps nothing ends; three records behind a write that hangs do it."""
    topic, name = "watched-in", "watched"
    await created(broker, topic, f"{name}-states-changelog")
    app = small_app(broker, name, tmp_path)
    table = app.Table(
        "states", key_type=bytes, value_type=bytes, partitions=2, options={"driver": "rocksdict"}
    )
    assert isinstance(table, StampedTable)
    stage = Stage(app, "counting", "", table, lambda _partition, _read: Counting())
    app.agent(batches(app, topic), name="counting")(stage.run)
    crashes: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashes.append(error)
        hangs.set()

    hangs = asyncio.Event()
    dog = Watchdog(app, [Watched(stage, topic)], looks=2)
    one = [Outgoing(topic, b"k", b"v", [], 0)]
    async with running(app):
        monkeypatch.setattr(app, "crash", crash)
        await producer_of(app).send_all(one)
        await until(lambda: (fold := stage.fold_of(0)) is not None and fold.next_offset == 1)
        for _ in range(4):
            await dog.look()
        assert crashes == []

        async def hang(*_: object) -> None:
            await hangs.wait()

        monkeypatch.setattr(table, "write", hang)
        await producer_of(app).send_all(one)
        # The first one behind the write that worked is folded, and its state is never kept.
        await until(lambda: (fold := stage.fold_of(0)) is not None and fold.next_offset == 2)
        await asyncio.sleep(0.3)
        await producer_of(app).send_all(one * 3)
        async with asyncio.timeout(20.0):
            while not crashes:
                await dog.look()
                await asyncio.sleep(0.1)
    (error,) = crashes
    assert isinstance(error, StageStuck)
    assert f"{topic}:0 stands at offset 2" in str(error)
    assert "hang" in caplog.text


async def test_group_when_its_join_is_never_answered_then_the_app_ends_and_says_where(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The members go on without it, and offsets say nothing: it has none meanwhile."""
    topic, name = "regrouped-in", "regrouped"
    await created(broker, topic)
    app = small_app(broker, name, tmp_path)
    table = app.Table("unused", key_type=bytes, value_type=bytes, partitions=2)
    stage = Stage(app, "counting", "", cast(StampedTable, table), lambda *_: Counting())
    app.agent(batches(app, topic), name="counting")(stage.run)
    crashes: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        crashes.append(error)

    dog = Watchdog(app, [Watched(stage, topic)], looks=2)
    async with running(app):
        monkeypatch.setattr(app, "crash", crash)
        coordinator = cast(Any, consumer_of(app))._thread._consumer._coordinator
        loop = consumer_of(app).thread_loop()
        answered = asyncio.Event()
        join = coordinator._do_rejoin_group

        async def joins_never(subscription: object) -> bool:
            await answered.wait()
            return bool(await join(subscription))

        coordinator._do_rejoin_group = joins_never
        for _ in range(4):
            await dog.look()
        assert crashes == []
        loop.call_soon_threadsafe(coordinator.request_rejoin)
        async with asyncio.timeout(20.0):
            while not crashes:
                await dog.look()
                await asyncio.sleep(0.1)
        loop.call_soon_threadsafe(answered.set)
        await until(lambda: not app.rebalancing)
    (error,) = crashes
    assert isinstance(error, GroupStuck)
    assert "joins_never" in caplog.text


async def test_send_when_its_topic_is_deleted_then_the_app_ends_and_names_it(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker answers and refuses; aiokafka takes that for trouble that passes, for ever."""
    here, gone = "watched-here", "watched-gone"
    await created(broker, here, gone)
    async with taking(broker, here, tmp_path) as taken:
        app, producer = taken.app, producer_of(taken.app)
        await producer.send_all(outgoing(gone, 2))
        crashes: list[BaseException] = []

        async def crash(error: BaseException) -> None:
            crashes.append(error)

        monkeypatch.setattr(app, "crash", crash)
        monkeypatch.setattr(away, "NOTICED_S", 0.1)
        dog = Watchdog(app, [], looks=2)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        await admin.delete_topics([gone])
        await admin.close()
        sending = asyncio.create_task(producer.send_all(outgoing(gone, 2)))
        async with asyncio.timeout(60.0):
            while not crashes:
                await dog.look()
                await asyncio.sleep(0.2)
        assert not sending.done()
        producer._ensure_producer()._message_accumulator.fail_all(crashes[0])
        await asyncio.wait([sending])
    (error,) = crashes
    assert isinstance(error, TopicGone)
    assert gone in str(error)
    assert here not in str(error)
