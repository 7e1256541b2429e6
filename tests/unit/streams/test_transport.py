"""The transport without a broker: it stands on the ground of this Faust and no other.

A new release of Faust, mode or aiokafka shall fail here first: by its version, by a name or a
signature that we override or call, or by an extension that was not compiled.
"""

import inspect
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from typing import Any

import aiokafka.record.default_records as records
import faust
import faust.streams
import faust.transport.conductor
import faust.transport.drivers.aiokafka as driver
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner
from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams import transport
from streams.consumer_thread import ConsumerThread
from streams.partitions import partition_of
from streams.transport import Batch, Record, consumer_of, producer_of


def test_versions_when_read_then_are_those_that_the_overrides_were_written_for() -> None:
    """Another minor version means: read the overrides again, then change this line."""
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


def test_extensions_when_imported_then_are_compiled() -> None:
    """Pure Python in one of these places costs more than everything the transport saves."""
    assert faust.streams._CStreamIterator is not None
    assert faust.transport.conductor.ConductorHandler.__module__.endswith("_cython.conductor")
    for kind in (records.DefaultRecordBatch, records.DefaultRecordBatchBuilder):
        assert "_crecords" in kind.__module__


@pytest.mark.parametrize(
    ("ours", "base", "names"),
    [
        (
            transport.Consumer,
            driver.Consumer,
            "_filter_tps_with_pending_acks _new_offset getmany on_partitions_revoked wait_empty",
        ),
        (
            ConsumerThread,
            driver.AIOKafkaConsumerThread,
            "_commit _create_worker_consumer _seek_wait on_start seek_to_committed",
        ),
        (transport.Producer, driver.Producer, "_settings_extra _new_producer"),
        (transport.BatchSchema, faust.Schema, "compile"),
    ],
)
def test_overrides_when_compared_with_faust_then_exist_there_and_take_the_same(
    ours: type[Any], base: type[Any], names: str
) -> None:
    """An override of a name that Faust has dropped would never be called."""
    for name in names.split():
        mine, theirs = getattr(ours, name), getattr(base, name)
        assert mine is not theirs
        assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(theirs)
        if name != "compile":
            assert list(inspect.signature(mine).parameters) == list(
                inspect.signature(theirs).parameters
            )


def test_overrides_when_looked_for_in_faust_then_are_called_there() -> None:
    """Who calls them: the commit, the fetch loop, the rebalance, the shutdown."""
    for caller, called in (
        (FaustConsumer.force_commit, "_filter_tps_with_pending_acks"),
        (FaustConsumer._filter_committable_offsets, "_new_offset"),
        (FaustConsumer._drain_messages, "self.getmany"),
        (FaustConsumer.on_stop, "self.wait_empty"),
        (faust.App._on_partitions_revoked, "_consumer_wait_empty"),
        (driver.Producer._new_producer, "_settings_extra"),
        (driver.AIOKafkaConsumerThread._create_consumer, "_create_worker_consumer"),
    ):
        assert called in inspect.getsource(caller), f"{caller.__qualname__} calls no {called}"


def test_names_when_we_use_them_then_faust_and_aiokafka_have_them() -> None:
    """What the transport calls of its base, by name and parameters."""
    parameters = {
        "_wait_next_records": ["self", "timeout"],
        "_to_message": ["self", "tp", "record"],
        "_is_changelog_tp": ["self", "tp"],
        "perform_seek": ["self"],
        "highwater": ["self", "tp"],
        "seek_wait": ["self", "partitions"],
    }
    for name, expected in parameters.items():
        assert list(inspect.signature(getattr(driver.Consumer, name)).parameters) == expected
    assert "_fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.__init__)
    assert "_fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.start)


@given(st.text(min_size=1), st.integers(1, 256))
def test_partition_of_when_compared_with_aiokafka_then_places_alike(key: str, n: int) -> None:
    """A producer that leaves the placement to aiokafka and we agree about every key."""
    partitions = list(range(n))
    theirs = DefaultPartitioner()(key.encode(), partitions, partitions)
    assert partition_of(key, n) == theirs


def test_header_when_a_name_comes_twice_then_the_last_one_counts() -> None:
    """Headers are a list in Kafka; who adds one later wins."""
    record = Record("t", 0, 0, None, None, [("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert record.header("a") == b"3"
    assert record.header("c") is None


async def test_parts_when_the_app_has_another_transport_then_says_so() -> None:
    """Without progress and awaited sends a stage must not run at all."""
    app = faust.App("other", broker="kafka://nowhere", autodiscover=False)
    with pytest.raises(TypeError, match=r"expected tradewind://"):
        consumer_of(app)
    app.consumer._thread.thread_loop.close()
    with pytest.raises(TypeError, match=r"expected tradewind://"):
        producer_of(app)


class Fetched:
    """A record as aiokafka hands it over."""

    def __init__(self, offset: int) -> None:
        self.topic, self.partition, self.offset = "ticks", 1, offset
        self.timestamp = self.timestamp_type = 0
        self.key, self.value, self.checksum = b"k", str(offset).encode(), None
        self.headers = (("h", b"v"),)
        self.serialized_key_size = self.serialized_value_size = 1


@pytest.fixture
async def consumer() -> AsyncIterator[transport.Consumer]:
    """Build the consumer of an app that never starts."""
    app = faust.App("unit", broker="tradewind://nowhere", autodiscover=False, store="memory://")
    app.Table("states", partitions=2)
    made = consumer_of(app)
    yield made
    made._thread.thread_loop.close()


async def test_messages_when_many_wait_then_batches_are_cut_and_nothing_is_lost(
    consumer: transport.Consumer,
) -> None:
    """1,030 records of a partition are three events of at most 512, in order."""
    fetched = [Fetched(offset) for offset in range(7, 1_037)]
    messages = list(consumer._messages(TP("ticks", 1), fetched))
    batches = [message.value for message in messages]
    assert all(isinstance(batch, Batch) for batch in batches)
    assert [len(batch) for batch in batches] == [512, 512, 6]
    assert [record.offset for batch in batches for record in batch] == list(range(7, 1_037))
    assert [message.offset for message in messages] == [518, 1_030, 1_036]
    assert batches[0][0] == Record("ticks", 1, 7, b"k", b"7", [("h", b"v")])


async def test_messages_when_the_topic_is_a_changelog_then_stay_single(
    consumer: transport.Consumer,
) -> None:
    """Faust recovers tables record by record."""
    (changelog,) = consumer.app.tables.changelog_topics
    fetched = [Fetched(offset) for offset in range(3)]
    messages = list(consumer._messages(TP(changelog, 1), fetched))
    assert [message.value for message in messages] == [b"0", b"1", b"2"]


async def test_progress_when_nothing_is_durable_then_nothing_is_committed(
    consumer: transport.Consumer,
) -> None:
    """Only what a stage has said is ever offered to the commit, whatever was acknowledged."""
    ticks, bars = TP("ticks", 0), TP("bars", 1)
    consumer._acked[ticks] = [0, 1, 2]
    assert list(consumer._filter_tps_with_pending_acks()) == []
    assert consumer._new_offset(ticks) is None
    consumer.advance(ticks, 5)
    consumer.advance(bars, 8)
    assert consumer._filter_committable_offsets([ticks, bars]) == {ticks: 5, bars: 8}
    assert list(consumer._filter_tps_with_pending_acks({"bars"})) == [bars]
    assert list(consumer._filter_tps_with_pending_acks({ticks})) == [ticks]


async def test_joins_when_sought_anew_then_what_is_missing_is_read_again_once_more(
    consumer: transport.Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebalance in between took what was read again: records are missing, and it is no hole."""
    place = TP("ticks", 1)
    sought: list[Mapping[TP, int]] = []

    async def committed() -> Mapping[TP, int]:
        return {place: 5}

    async def earliest(*_places: TP) -> Mapping[TP, int]:
        return {place: 0}

    async def seek(places: Mapping[TP, int]) -> None:
        sought.append(places)

    monkeypatch.setattr(consumer._thread, "seek_to_committed", committed)
    monkeypatch.setattr(consumer._thread, "earliest_offsets", earliest)
    monkeypatch.setattr(consumer, "seek_wait", seek)
    for n in (1, 2):
        await consumer.seek_to_committed()
        assert not await consumer._joins(place, 8)
        assert sought == [{place: 5}] * n
    assert await consumer._joins(place, 8)  # read again, and there is nothing in between
