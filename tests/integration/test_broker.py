"""The embedded broker: it serves, it is found again, and it never outlives its owner."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.brokers.embedded import EmbeddedBroker, find_embedded, open_embedded
from streams.brokers.waiting import wait_for
from streams.errors import BrokerFailedError, BrokerHeldError

pytestmark = pytest.mark.broker

_TOPIC = "notes"
_OPEN_AND_WAIT = """
import sys
from pathlib import Path
from streams.brokers.embedded import open_embedded
open_embedded(Path(sys.argv[1]), port=None, detach=False)
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def _opened(home: Path, *, detach: bool = False) -> Iterator[EmbeddedBroker]:
    """Open a broker that a failing test cannot leave behind."""
    broker = open_embedded(home, port=None, detach=detach)
    try:
        yield broker
    finally:
        broker.stop()


async def _write(servers: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, num_partitions=1, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all")
    await producer.start()
    await producer.send_and_wait(_TOPIC, value)
    await producer.stop()


async def _read(servers: str) -> bytes:
    consumer = AIOKafkaConsumer(
        _TOPIC, bootstrap_servers=servers, group_id="readers", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    value: bytes = record.value
    return value


async def test_open_broker_when_ready_then_a_record_goes_through(broker: str) -> None:
    """What a producer got acknowledged, a consumer group reads."""
    await _write(broker, b"first")
    assert await _read(broker) == b"first"


async def test_open_embedded_when_the_detached_broker_was_killed_then_its_records_are_kept(
    tmp_path: Path,
) -> None:
    """The crash is seen, the next start says so, and the data and the address are the same.

    The home's name has a space and a letter outside ASCII, as homes of people have.
    """
    home = tmp_path / "zwei Märkte"
    with _opened(home, detach=True) as broker:
        await _write(broker.bootstrap_servers, b"kept")
        os.kill(broker.state.pid, signal.SIGKILL)
        assert wait_for(lambda: not broker.alive(), timeout_s=10.0)
        with pytest.raises(BrokerFailedError, match="has ended"):
            broker.check()
    with _opened(home, detach=True) as again:
        assert f"(pid {broker.state.pid}) ended without being stopped" in again.why
        assert again.bootstrap_servers == broker.bootstrap_servers
        assert await _read(again.bootstrap_servers) == b"kept"


async def test_open_embedded_when_stopped_in_order_then_its_records_are_kept(
    tmp_path: Path,
) -> None:
    """A stop and a start on the same home are no event for the data."""
    with _opened(tmp_path) as broker:
        await _write(broker.bootstrap_servers, b"kept")
    assert find_embedded(tmp_path) is None
    with _opened(tmp_path) as again:
        assert again.why == "KAFKA_BOOTSTRAP_SERVERS is not set"
        assert await _read(again.bootstrap_servers) == b"kept"


async def test_open_embedded_when_two_homes_run_then_they_share_nothing(tmp_path: Path) -> None:
    """Two stacks live side by side, each with its own records."""
    with _opened(tmp_path / "a") as one, _opened(tmp_path / "b") as other:
        await _write(one.bootstrap_servers, b"one")
        await _write(other.bootstrap_servers, b"other")
        assert await _read(one.bootstrap_servers) == b"one"
        assert await _read(other.bootstrap_servers) == b"other"


def test_open_embedded_when_a_detached_broker_runs_then_a_guest_leaves_it_running(
    tmp_path: Path,
) -> None:
    """A program in the foreground uses the stack's broker and does not take it along."""
    with _opened(tmp_path, detach=True) as broker:
        with _opened(tmp_path) as guest:
            assert guest.state == broker.state
        assert broker.alive()
    assert not broker.alive()


def test_open_embedded_when_the_parent_is_killed_then_no_broker_is_left(tmp_path: Path) -> None:
    """While the parent lives its home is held; after kill -9 the broker is gone with it."""
    with subprocess.Popen(
        [sys.executable, "-c", _OPEN_AND_WAIT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        broker = find_embedded(tmp_path)
        assert broker is not None
        with pytest.raises(BrokerHeldError, match=f"process {parent.pid} runs its own broker"):
            open_embedded(tmp_path, port=None, detach=False)
        parent.kill()
        parent.wait()
        assert wait_for(lambda: not broker.alive(), timeout_s=10.0)
