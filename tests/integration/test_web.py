"""The decisions page on a real broker: it follows, fetches by place, and outlives the broker."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.cli.web import Listening, serving
from streams.brokers.embedded import open_embedded
from streams.errors import TopicError
from streams.topics import declare
from tables.stores.decision_log import DecisionLog, LogAway, LogRecord, RecordGone
from tables.views.pages import About
from tests.unit.tables.views.played import decision, decision_id, refused, snapshot

pytestmark = pytest.mark.broker

_LABEL = "built by hand"


async def declared(servers: str, run: str) -> None:
    """Create the topics of a run with two partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)

    async def is_declared() -> bool:
        try:
            await declare(admin, prefix=f"{run}.", n_partitions=2, replication=1)
        except TopicError:
            # A broker that has just made a topic may describe it without partitions.
            return False
        return True

    await admin.start()
    try:
        await until(is_declared)
    finally:
        await admin.close()


async def written(servers: str, *records: tuple[str, int, object]) -> None:
    """Write (topic, partition, record), each acknowledged before the next."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", compression_type="zstd")
    await producer.start()
    try:
        for topic, partition, event in records:
            value = event if isinstance(event, bytes) else msgspec.json.encode(event)
            await producer.send_and_wait(
                topic, value, key=b"main", partition=partition, headers=[("origin", b"17")]
            )
    finally:
        await producer.stop()


async def health(session: ClientSession, url: str) -> dict[str, Any]:
    """Ask the server how it is."""
    async with session.get(f"{url}health") as response:
        answer: dict[str, Any] = json.loads(await response.text())
    return answer


async def until(holds: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Wait until something holds; fail if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110  another process changes it, without an event
            await asyncio.sleep(0.1)


async def test_web_when_decisions_are_on_kafka_then_pages_show_them_and_their_origin(
    broker: str,
) -> None:
    """A list, a detail fetched by its place, a portfolio, a conflict, and what comes later."""
    await declared(broker, "web1")
    topic = "web1.trading-decisions"
    await written(
        broker,
        (topic, 1, decision(1)),
        (topic, 1, refused(2, symbol="XOM")),
        (topic, 0, decision(3, symbol="MSFT", action="SELL")),
        (topic, 1, decision(1)),
        ("web1.portfolio-snapshots", 1, snapshot("2026-01-02T21:00:00Z", "1000000")),
        ("web1.dead-letters", 0, b"{"),
    )
    about = About("web1", _LABEL)
    async with (
        serving(broker, about, Listening("127.0.0.1", 0)) as (url, _),
        ClientSession() as session,
    ):

        async def page(path: str) -> str:
            async with session.get(url + path) as response:
                return await response.text()

        async def counted(n: int) -> bool:
            return await health(session, url) == {
                "status": "ok",
                "lag_records": 0,
                "decisions": n,
            }

        await until(lambda: counted(3))
        text = await page("")
        assert all(name in text for name in (_LABEL, "AAPL", "XOM", "MSFT", "✕ refused"))
        assert 'role="alert"' not in text
        text = await page(f"decisions/{decision_id(2)}")
        assert '<dt>Partition</dt><dd class="num">1</dd>' in text
        assert '<dt>Offset</dt><dd class="num">1</dd>' in text
        assert '<dt class="id">origin</dt><dd class="id">17</dd>' in text
        assert "1,000,000.00" in await page("portfolio")
        assert "The newest 1 of 1" in await page("dead-letters")
        await written(broker, (topic, 0, decision(4)), (topic, 1, decision(1, quantity=7)))
        await until(lambda: counted(4))

        async def contradicted() -> bool:
            return "other bytes at 1:3" in await page("")

        await until(contradicted)


async def test_fetch_when_the_place_is_beyond_the_topic_then_the_record_is_gone(
    broker: str,
) -> None:
    """The person is not left waiting for a record that never comes."""
    await declared(broker, "web2")
    log = DecisionLog(broker, (), lambda _record: None)
    with pytest.raises(RecordGone):
        await log.fetch("web2.trading-decisions", 0, 5)


async def test_web_when_the_topics_are_not_there_yet_then_it_waits_for_them(broker: str) -> None:
    """The page may be started before the stack."""
    about = About("web3")
    async with (
        serving(broker, about, Listening("127.0.0.1", 0)) as (url, _),
        ClientSession() as session,
    ):

        async def waiting() -> bool:
            async with session.get(url) as response:
                return "the broker does not have all of" in await response.text()

        await until(waiting)
        await declared(broker, "web3")
        await written(broker, ("web3.trading-decisions", 0, decision(1)))

        async def decided() -> bool:
            answer = await health(session, url)
            return bool(answer["status"] == "ok" and answer["decisions"] == 1)

        await until(decided)


async def test_web_when_the_broker_dies_and_returns_then_pages_are_served_throughout(
    tmp_path: Path,
) -> None:
    """What is known is shown with a notice; afterwards reading goes on where it was."""
    topic = "web4.trading-decisions"
    home = open_embedded(tmp_path, port=None, detach=False)
    servers = home.bootstrap_servers
    try:
        await declared(servers, "web4")
        await written(servers, (topic, 0, decision(1)))
        taken: list[LogRecord] = []
        log = DecisionLog(servers, (topic,), taken.append)
        following = asyncio.create_task(log.follow())
        await until(lambda: _is(log, "ok"))
        home.stop()
        await until(lambda: _is(log, "broker away"))
        with pytest.raises(LogAway):
            await log.fetch(topic, 0, 0)
        with pytest.raises(LogAway):
            await log.catch_up()
        home = open_embedded(tmp_path, port=None, detach=False)
        assert home.bootstrap_servers == servers
        await written(servers, (topic, 0, decision(2)))
        await until(lambda: _is(log, "ok"))
        await log.catch_up()
        assert [record.offset for record in taken] == [0, 1]
        assert (await log.fetch(topic, 0, 1)).value == taken[1].value
        following.cancel()
        await asyncio.wait([following])
    finally:
        home.stop()


async def _is(log: DecisionLog, state: str) -> bool:
    return log.status.state == state


async def _has(taken: list[LogRecord], n: int) -> bool:
    return len(taken) >= n


def test_web_command_when_told_to_stop_then_it_ends_in_order(broker: str) -> None:
    """A supervisor's SIGTERM is not a failure."""
    words = ["web", "--bootstrap", broker, "--run", "web5", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "agents", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Decisions of run web5: http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == "Stopped.\n"


def test_web_command_when_the_stats_address_is_no_page_then_it_is_refused() -> None:
    """A link that runs a script is none."""
    words = ["web", "--bootstrap", "127.0.0.1:1", "--stats-url", "javascript:alert(1)"]
    done = subprocess.run(
        [sys.executable, "-m", "agents", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "javascript:alert(1)" in done.stderr
    assert "expected http:// or" in done.stderr


def test_web_command_when_the_port_is_taken_then_it_says_which_and_fails() -> None:
    """The person reads the address instead of a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["web", "--bootstrap", "127.0.0.1:1", "--port", str(port)]
        done = subprocess.run(
            [sys.executable, "-m", "agents", *words], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
