"""A book's log on a real broker: read as the stage reads it, and appended to."""

from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from agents.cli.book_log import BookLog
from agents.topology import app_id, changelogs, prefix_of
from streams import topics
from streams.epochs import Portfolio
from streams.errors import RecordError
from streams.instructions import TradingState
from streams.topics import PORTFOLIO_EVENTS, changelog_name
from tests.builders import FREE, MIDNIGHT, Run
from tests.unit.agents.test_risk import World, all_at

pytestmark = pytest.mark.broker

HALT = TradingState(
    portfolio="main",
    ts_event=MIDNIGHT,
    change_id="c1",
    actor="ann",
    role="trader",
    reason="test",
    action="halt",
)


async def declare(servers: str, run: str) -> None:
    """Create a run's topics with one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await topics.declare(
            admin,
            prefix=prefix_of(run),
            n_partitions=1,
            replication=1,
            changelogs=changelogs(run),
        )
    finally:
        await admin.close()


async def test_read_when_snapshot_and_tail_are_there_then_is_the_book_at_the_end(
    broker: str, tmp_path: Path
) -> None:
    """Two bars in a snapshot, one more behind it and a halt: the book knows all of it."""
    run = "book-log"
    await declare(broker, run)
    portfolios = (Portfolio(id="main", limits=FREE), Portfolio(id="other", limits=FREE))
    world = World(tmp_path, portfolios=portfolios)
    bars = [world.bar(minute, all_at(100.0, target=0.1)) for minute in (1, 2, 3)]
    stage = Run(world.new_fold)
    stage.take([record for bar in bars[:2] for record in bar])
    stage.persist()
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    try:
        for record in (record for bar in bars for record in bar):
            await producer.send_and_wait(
                prefix_of(run) + PORTFOLIO_EVENTS.name, record.value, key=record.key
            )
        for key, stamped in stage.memory.states.items():
            changelog = changelog_name(app_id(run), "risk")
            await producer.send_and_wait(changelog, stamped.encode(), key=key)
    finally:
        await producer.stop()
    log = BookLog(broker, run, world.epochs)
    before = await log.read("main")
    assert before.book.account.kept.bar_ns == MIDNIGHT + 3 * 60 * 10**9
    assert (before.partition, before.next_offset) == (0, 6)
    assert before.book.account.kept.switches.state() == "ACTIVE"
    place = await log.append(HALT)
    assert (place.topic, place.partition, place.offset) == ("book-log.portfolio-events", 0, 6)
    after = await log.read("main")
    assert after.book.account.kept.switches.state() == "HALTED"
    assert after.next_offset == 7
    # The same account that the stage itself has at this place.
    stage.take(bars[2])
    fold = stage.fold
    expected = fold.portfolios["main"].account  # type: ignore[attr-defined]  the fold of risk
    assert before.book.account.equity == expected.equity
    assert before.book.account.reservations == expected.reservations
    assert await log.portfolios("main") == ["main", "other"]


async def test_read_when_no_bar_has_come_then_says_so(broker: str, tmp_path: Path) -> None:
    """A run that does not exist, and a portfolio that has no book."""
    epochs = World(tmp_path).epochs
    with pytest.raises(RecordError, match="there is no topic"):
        await BookLog(broker, "nowhere", epochs).read("main")
    await declare(broker, "empty-book")
    with pytest.raises(RecordError, match="no bar has reached"):
        await BookLog(broker, "empty-book", epochs).read("main")
    assert msgspec.json.decode(msgspec.json.encode(HALT))["record"] == "trading_state"
