"""Fetches and rebalances on a real broker: nothing that was fetched is lost on its way."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faust.types import TP

from streams.clock import monotonic_s
from streams.transport import Consumer, consumer_of, producer_of
from tests.integration.small_app import Taken, created, outgoing, taking, until

pytestmark = pytest.mark.broker

# A fetch of the app waits for so long at most; behind it none is under way while the flow stands.
_FETCH_S = 1.0


async def paused(taken: Taken) -> Consumer:
    """Return an app's consumer that takes nothing, behind its own fetches."""
    consumer = consumer_of(taken.app)
    consumer.pause_partitions(consumer.assignment())
    await asyncio.sleep(1.5 * _FETCH_S)
    return consumer


async def test_fetch_when_it_outlives_its_flow_then_takes_nothing_away(
    broker: str, tmp_path: Path
) -> None:
    """What it brings is for nobody, and comes again with the next one, without a seek."""
    await created(broker, "tr-outlived")
    place = TP("tr-outlived", 0)
    async with taking(broker, "tr-outlived", tmp_path) as taken:
        consumer = await paused(taken)
        fetch = asyncio.create_task(consumer._thread.getmany({place}, 20.0))
        await asyncio.sleep(0.2)
        consumer.stop_flow()
        await producer_of(taken.app).send_all(outgoing("tr-outlived", 10))
        assert await fetch == {}
        assert taken.events == []
        consumer.resume_partitions(consumer.assignment())
        consumer.resume_flow()
        await until(lambda: sum(len(event.value) for event in taken.events) == 10)
        assert [record.offset for record in taken.records(0)] == [*range(5)]


async def test_fetch_when_its_set_is_emptied_meanwhile_then_brings_only_what_was_asked_for(
    broker: str, tmp_path: Path
) -> None:
    """Faust empties it in place at a rebalance, and an empty set means all to aiokafka."""
    await created(broker, "tr-emptied")
    place = TP("tr-emptied", 0)
    async with taking(broker, "tr-emptied", tmp_path) as taken:
        consumer = await paused(taken)
        asked = {place}
        fetch = asyncio.create_task(consumer._thread.getmany(asked, 20.0))
        await asyncio.sleep(0.2)
        asked.clear()
        other = [one for one in outgoing("tr-emptied", 10) if one.partition == 1]
        await producer_of(taken.app).send_all(other)
        await asyncio.sleep(0.5)
        assert not fetch.done()
        await producer_of(taken.app).send_all(outgoing("tr-emptied", 1))
        assert set(await fetch) == {place}


@pytest.mark.parametrize("is_hole", [False, True])
async def test_consumer_when_records_do_not_join_then_they_are_read_once_more(
    broker: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_hole: bool
) -> None:
    """Five that were fetched and lost come again; the marker of a transaction is only a hole."""
    topic = f"tr-joins-{is_hole}".lower()
    await created(broker, topic)
    place = TP(topic, 0)
    async with taking(broker, topic, tmp_path) as taken:
        consumer = consumer_of(taken.app)
        first, rest = outgoing(topic, 20)[:10], outgoing(topic, 20)[10:]
        await producer_of(taken.app).send_all(first)
        await until(lambda: len(taken.records(0)) == 5)
        if is_hole:
            sender = AIOKafkaProducer(bootstrap_servers=broker, transactional_id=topic)
            async with sender, sender.transaction():
                await sender.send_and_wait(topic, b"in a transaction", partition=0)
            async with asyncio.timeout(20.0):
                while (await consumer.highwaters(place))[place] < 7:  # noqa: ASYNC110  no event
                    await asyncio.sleep(0.05)
            expected = [*range(6), *range(7, 12)]  # its marker is at 6
        else:
            consumer.advance(place, 5)
            await consumer.commit()
            consumer.stop_flow()
            await asyncio.sleep(1.5 * _FETCH_S)
            expected = [*range(10)]
        await producer_of(taken.app).send_all(rest)
        if not is_hole:
            await consumer._thread.call_thread(_lose, consumer._thread._consumer, place, 8)
            consumer.resume_flow()
        await until(lambda: len(taken.records(0)) == len(expected))
        assert [record.offset for record in taken.records(0)] == expected
    assert ("had been fetched and lost" in caplog.text) is not is_hole


async def _lose(consumer: AIOKafkaConsumer, place: TP, until_offset: int) -> None:
    consumer.seek(place, until_offset)


async def test_getmany_when_no_partition_is_active_then_does_not_sleep(
    broker: str, tmp_path: Path
) -> None:
    """A recovery has such moments, and what it goes on with must not wait for a second."""
    await created(broker, "tr-inactive")
    async with taking(broker, "tr-inactive", tmp_path) as taken:
        consumer = await paused(taken)
        began_s = monotonic_s()
        for _ in range(10):
            assert [each async for each in consumer.getmany(1.0)] == []
        assert monotonic_s() - began_s < 10 * _FETCH_S


async def test_fetch_when_the_group_rebalances_then_is_put_off_and_holds_up_nobody(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for the end of the rebalance, which may need the place where it waits."""
    await created(broker, "tr-put-off")
    async with taking(broker, "tr-put-off", tmp_path) as taken:
        thread = consumer_of(taken.app)._thread
        state = type(thread._consumer._subscription)
        with monkeypatch.context() as patched:
            patched.setattr(state, "reassignment_in_progress", True)
            fetches = [thread.getmany({TP("tr-put-off", 0)}, 60.0) for _ in range(4)]
            assert await asyncio.wait_for(asyncio.gather(*fetches), 20.0) == [{}] * 4
