"""The transport on a real broker: what it overrides is called, and what it promises is so."""

import asyncio
import sys
from pathlib import Path
from typing import cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError
from confluent_kafka import TopicPartition as NewPartition
from confluent_kafka.admin import AdminClient
from faust.types import TP

from streams import consumer_thread
from streams.brokers.embedded import open_embedded
from streams.clock import monotonic_s
from streams.consumer_thread import FETCH_MAX_WAIT_MS, ConsumerThread
from streams.partitions import partition_of
from streams.transport import (
    MAX_BATCH_RECORDS,
    LogGap,
    Outgoing,
    consumer_of,
    producer_of,
)
from tests.integration.small_app import (
    created,
    outgoing,
    taking,
    until,
)
from tests.runs import trial

pytestmark = pytest.mark.broker

# A worker whose group gives it an assignment that Faust refuses.
_STRANGER = """
from agents.cli import main
from faust.assignor.partition_assignor import PartitionAssignor

def refuse(*_):
    raise ValueError("an assignment of a stranger")

PartitionAssignor.on_assignment = refuse
main()
"""
_END_S = 60.0


async def committed(servers: str, app: faust.App, topic: str) -> list[int | None]:
    """Return the group's offsets as any tool sees them."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=app.conf.id, enable_auto_commit=False
    )
    await reader.start()
    try:
        return [await reader.committed(TopicPartition(topic, p)) for p in range(2)]
    finally:
        await reader.stop()


async def test_consumer_when_running_then_its_settings_are_on_the_real_consumer_and_producer(
    broker: str, tmp_path: Path
) -> None:
    """The short fetch wait reaches aiokafka's fetcher; sends are idempotent and awaited by all."""
    await created(broker, "tr-settings")
    async with taking(broker, "tr-settings", tmp_path) as taken:
        consumer = consumer_of(taken.app)
        real = consumer._thread._consumer
        assert real._fetch_max_wait_ms == FETCH_MAX_WAIT_MS == 10
        assert real._fetcher._fetch_max_wait_ms == FETCH_MAX_WAIT_MS
        producer = producer_of(taken.app)._ensure_producer()
        assert producer._txn_manager is not None
        assert producer._txn_manager.transactional_id is None
        assert producer._sender._acks == -1


async def test_send_all_when_many_records_then_each_partition_gets_them_in_order_and_as_batches(
    broker: str, tmp_path: Path
) -> None:
    """3,000 records come back whole and in order, in events of one partition and at most 512."""
    await created(broker, "tr-order")
    async with taking(broker, "tr-order", tmp_path) as taken:
        sent = outgoing("tr-order", 3_000)
        await producer_of(taken.app).send_all(sent)
        await until(lambda: sum(len(event.value) for event in taken.events) == 3_000)
        for partition in (0, 1):
            records = taken.records(partition)
            assert [r.value for r in records] == [o.value for o in sent[partition::2]]
            assert [r.offset for r in records] == list(range(1_500))
            assert records[7].headers == sent[partition::2][7].headers
            assert records[7].key == b"k"
        for event in taken.events:
            places = {(record.topic, record.partition) for record in event.value}
            assert places == {("tr-order", event.message.partition)}
            assert len(event.value) <= MAX_BATCH_RECORDS
            assert event.message.offset == event.value[-1].offset
        assert len(taken.events) < 100


async def test_send_all_when_records_fill_batches_then_they_are_split_and_keep_their_order(
    broker: str, tmp_path: Path
) -> None:
    """Ten records of 300 kB need four batches of 1 MB; a smaller one behind them stays behind."""
    await created(broker, "tr-split")
    async with taking(broker, "tr-split", tmp_path) as taken:
        sent = [o._replace(partition=1) for o in outgoing("tr-split", 10, size=300_000)]
        sent.append(Outgoing("tr-split", None, b"last", [], 1))
        await producer_of(taken.app).send_all(sent)
        await until(lambda: len(taken.records(1)) == 11)
        assert [r.value for r in taken.records(1)] == [o.value for o in sent]


async def test_send_all_when_a_record_is_larger_than_a_batch_then_it_travels_alone(
    broker: str, tmp_path: Path
) -> None:
    """Where the topic allows 4 MiB, a record of 3 MB between small ones arrives in its place."""
    await created(broker, "tr-large", config={"max.message.bytes": str(1 << 22)})
    async with taking(broker, "tr-large", tmp_path) as taken:
        values = [b"before", bytes(3_000_000), b"after"]
        sent = [Outgoing("tr-large", b"k", value, [], 0) for value in values]
        await producer_of(taken.app).send_all(sent)
        await until(lambda: len(taken.records(0)) == 3)
        assert [r.value for r in taken.records(0)] == values


async def test_send_all_when_a_record_is_refused_then_raises(broker: str, tmp_path: Path) -> None:
    """Too large for the topic is an error of the step, never a log line."""
    await created(broker, "tr-refused")
    async with taking(broker, "tr-refused", tmp_path) as taken:
        sent = [Outgoing("tr-refused", b"k", bytes(1_500_000), [], 0)]
        with pytest.raises(MessageSizeTooLargeError):
            await producer_of(taken.app).send_all(sent)


async def test_send_all_when_no_partition_is_named_then_the_key_places_the_record(
    broker: str, tmp_path: Path
) -> None:
    """What has a key lies where every other client would put it."""
    await created(broker, "tr-place")
    keys = ("AAPL", "MSFT", "XOM", "JPM", "ÄÖÜ", "")
    async with taking(broker, "tr-place", tmp_path) as taken:
        producer = producer_of(taken.app)
        await producer.send_all([])
        await producer.send_all(Outgoing("tr-place", k.encode(), b"v", [], None) for k in keys)
        await until(lambda: sum(len(event.value) for event in taken.events) == len(keys))
        for partition in (0, 1):
            found = {(record.key or b"").decode() for record in taken.records(partition)}
            assert found == {key for key in keys if partition_of(key, 2) == partition}


async def test_seek_when_nothing_was_committed_then_what_was_fetched_is_read_again(
    broker: str, tmp_path: Path
) -> None:
    """A group that rebalances drops what it has fetched, and seeks; its first records as well."""
    await created(broker, "tr-first")
    async with taking(broker, "tr-first", tmp_path) as taken:
        await producer_of(taken.app).send_all(outgoing("tr-first", 20))
        await until(lambda: sum(len(event.value) for event in taken.events) == 20)
        await consumer_of(taken.app).perform_seek()
        await until(lambda: sum(len(event.value) for event in taken.events) == 40)
        for partition in (0, 1):
            offsets = [record.offset for record in taken.records(partition)]
            assert offsets == [*range(10), *range(10)]


async def test_commit_when_progress_is_said_then_exactly_that_is_committed(
    broker: str, tmp_path: Path
) -> None:
    """Reading and acknowledging commit nothing, the rest is read again, and hooks come first."""
    await created(broker, "tr-commit")
    first, second = TP("tr-commit", 0), TP("tr-commit", 1)
    seen = []
    async with taking(broker, "tr-commit", tmp_path) as taken:
        consumer = consumer_of(taken.app)

        async def hook(partitions: set[TP]) -> None:
            seen.append(partitions)
            consumer.advance(second, 4)

        consumer.on_revoke(hook)
        await producer_of(taken.app).send_all(outgoing("tr-commit", 20))
        await until(lambda: sum(len(event.value) for event in taken.events) == 20)
        await consumer.commit()
        assert await committed(broker, taken.app, "tr-commit") == [None, None]
        consumer.advance(first, 3)
        await consumer.commit()
        assert await committed(broker, taken.app, "tr-commit") == [3, None]
    assert seen[0] >= {first, second}
    assert await committed(broker, taken.app, "tr-commit") == [3, 4]
    async with taking(broker, "tr-commit", tmp_path / "again") as again:
        await until(lambda: sum(len(event.value) for event in again.events) == 13)
        assert [record.offset for record in again.records(0)] == list(range(3, 10))
        assert [record.offset for record in again.records(1)] == list(range(4, 10))


async def test_send_when_the_first_one_to_a_topic_meets_an_outage_then_it_waits(
    tmp_path: Path,
) -> None:
    """Aiokafka would take the topic for one that is not there, and the worker would end of it."""
    home = open_embedded(tmp_path / "broker", port=None, detach=False)
    servers = home.bootstrap_servers
    try:
        await created(servers, "tr-early", "tr-late")
        async with taking(servers, "tr-early", tmp_path / "tables") as taken:
            producer = producer_of(taken.app)
            client = producer._ensure_producer().client
            # As after a send to the one that had to be asked for: aiokafka asks for it alone then.
            await client.set_topics(["tr-early"])
            assert "tr-late" not in client.cluster.topics()
            client._request_timeout_ms = 1_000
            await asyncio.to_thread(home.stop)
            sending = asyncio.create_task(producer.send_all(outgoing("tr-late", 4)))
            await asyncio.sleep(4.0)
            assert not sending.done()
            home = await asyncio.to_thread(
                open_embedded, tmp_path / "broker", port=home.state.port, detach=False
            )
            async with asyncio.timeout(_END_S):
                await sending
    finally:
        home.stop()


async def test_send_when_there_is_no_such_topic_then_raises(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker answers and does not know it: it was never declared, or somebody deleted it."""
    monkeypatch.setattr("streams.topic_metadata._UNKNOWN_S", 0.5)
    await created(broker, "tr-there")
    async with taking(broker, "tr-there", tmp_path) as taken:
        with pytest.raises(UnknownTopicOrPartitionError, match="no topic tr-nowhere"):
            await producer_of(taken.app).send_all(outgoing("tr-nowhere", 1))


async def test_consumer_when_the_log_has_lost_what_was_not_read_then_the_worker_ends(
    broker: str, tmp_path: Path
) -> None:
    """Read up to 3, deleted up to 7: it says so instead of going on at 7; at 3 it goes on."""
    await created(broker, "tr-gap")
    partitions = [TP("tr-gap", 0), TP("tr-gap", 1)]
    async with taking(broker, "tr-gap", tmp_path) as taken:
        await producer_of(taken.app).send_all(outgoing("tr-gap", 20))
        await until(lambda: sum(len(event.value) for event in taken.events) == 20)
        for partition in partitions:
            consumer_of(taken.app).advance(partition, 3)
    deleted = [NewPartition("tr-gap", 0, 7), NewPartition("tr-gap", 1, 3)]
    admin = AdminClient({"bootstrap.servers": broker})
    for answer in admin.delete_records(deleted).values():
        await asyncio.to_thread(answer.result, _END_S)
    async with taking(broker, "tr-gap", tmp_path / "again") as again:
        await until(lambda: bool(again.app.crash_reason))
        assert isinstance(again.app.crash_reason, LogGap)
        said = str(again.app.crash_reason)
        assert "tr-gap:0 was read up to offset 3, and begins at 7 by now: the 4 records" in said
        assert again.records(0) == []


async def test_consumer_when_it_is_a_member_then_says_when_it_was_one_last(
    broker: str, tmp_path: Path
) -> None:
    """By the heartbeats that the group has answered, one a second at least."""
    await created(broker, "tr-beat")
    async with taking(broker, "tr-beat", tmp_path) as taken:
        consumer = consumer_of(taken.app)
        began_s = monotonic_s()
        await until(lambda: consumer.member_at_s() > began_s)
        assert consumer.member_at_s() <= monotonic_s()


async def test_commit_when_its_thread_has_ended_then_is_not_waited_for(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash may end the thread before the end in order commits; behind that nobody answers it."""
    await created(broker, "tr-ended")
    async with taking(broker, "tr-ended", tmp_path) as taken:
        await producer_of(taken.app).send_all(outgoing("tr-ended", 4))
        await until(lambda: len(taken.records(0)) == 2)
        consumer = consumer_of(taken.app)
        consumer.advance(TP("tr-ended", 0), 2)
        with monkeypatch.context() as ended:
            ended.setattr(consumer._thread.method_queue, "_queue_put", lambda _: None)
            consumer._thread._shutdown.set()
            async with asyncio.timeout(_END_S):
                await consumer.commit()
            consumer._thread._shutdown.clear()
        assert await committed(broker, taken.app, "tr-ended") == [None, None]


async def test_membership_when_its_task_fails_then_the_worker_ends(
    broker: str, tmp_path: Path
) -> None:
    """A worker that can never get a partition again ends, so that something restarts it."""
    async with trial(broker, tmp_path, "0" * 64, "tr-member") as run:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _STRANGER, "worker"),
            *run.options(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_END_S):
                printed, _ = await worker.communicate()
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
    assert worker.returncode == 1
    assert b"an assignment of a stranger" in printed


@pytest.mark.parametrize("helper", ["heartbeat", "metadata"])
async def test_membership_when_a_helper_fails_then_is_a_crash(
    broker: str, tmp_path: Path, helper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without either nobody finds a new coordinator, and aiokafka waits for who asks it.

    What waits for it never ends, so the end in order has its time and no more.
    """
    late: list[float] = []
    monkeypatch.setattr(consumer_thread, "end_late", late.append)

    async def fail(*_args: object) -> None:
        # Once: the group is to be left in order, by the same client.
        vars(coordinator).pop("_send_req", None)
        raise RuntimeError(f"no {helper}")

    await created(broker, f"tr-{helper}")
    async with taking(broker, f"tr-{helper}", tmp_path) as taken:
        thread = cast(ConsumerThread, consumer_of(taken.app)._thread)
        await until(lambda: thread.member_at_s > 0)
        consumer = thread._consumer
        coordinator = consumer._coordinator
        if helper == "heartbeat":
            coordinator._send_req = fail
        else:
            consumer._client._metadata_update = fail
            thread.thread_loop.call_soon_threadsafe(consumer._client.force_metadata_update)
        await until(lambda: bool(taken.app.crash_reason))
        assert f"no {helper}" in repr(taken.app.crash_reason)
        assert late == [15.0]
