"""The README keeps its word: programs run, tables are complete, links lead somewhere."""

import asyncio
import re
import sqlite3
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.main import get_command

from agents import cli
from streams.clock import wall_ns
from streams.epochs import Costs, Instrument, Limits, Portfolio
from streams.partitions import partition_of
from streams.records import Decision, Tick
from streams.settings import Settings, instruments_of, portfolios_of
from streams.ticks import Placement, read_ticks
from streams.timestamps import format_ns
from tests.builders import epoch
from tests.unit.tables.views.played import decision, refused

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ("*.md", "streams/*.md", "models/*.md", "tables/*.md", "agents/*.md", "docs/**/*.md")

N_PARTITIONS = 4
PATIENCE_S = 30.0

_MARKED = re.compile(r"<!-- runs: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
_CODE = re.compile(r"`([^`]+)`")


def marked(name: str) -> str:
    """Return the text of a block that the README marks for running."""
    return dict(_MARKED.findall(README))[name]


def program(name: str) -> types.ModuleType:
    """Run a program of the README as an import does, without its last lines."""
    module = types.ModuleType(f"readme_{name}")
    exec(compile(marked(name), f"README.md:{name}", "exec"), module.__dict__)  # noqa: S102  the README's own program
    return module


def table(header: str) -> Iterator[list[str]]:
    """Yield the rows of the table that begins with a header cell, as cells."""
    lines = iter(README.splitlines())
    for line in lines:
        if line.startswith(f"| {header} |"):
            next(lines)
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(header: str) -> list[str]:
    """Return what stands as code in the first column of a table."""
    return [name for row in table(header) for name in _CODE.findall(row[0])]


async def made(servers: str, topic: str) -> None:
    """Create a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, N_PARTITIONS, 1)])
    finally:
        await admin.close()


async def read(servers: str, topic: str, n_records: int) -> list[Any]:
    """Return the first records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(N_PARTITIONS)])
        async with asyncio.timeout(PATIENCE_S):
            return [await consumer.getone() for _ in range(n_records)]
    finally:
        await consumer.stop()


@pytest.mark.broker
async def test_producer_of_the_readme_when_run_then_every_tick_can_be_used(broker: str) -> None:
    """Its ticks stand in their home partitions and pass all checks of the bars stage."""
    topic = "readme.market-ticks"
    await made(broker, topic)
    producing = program("produce")
    await producing.produce(broker, topic)
    symbols = frozenset(tick["symbol"] for tick in producing.TICKS)
    read_back = []
    for record in await read(broker, topic, len(symbols)):
        home = partition_of(record.key.decode(), N_PARTITIONS)
        local = frozenset(s for s in symbols if partition_of(s, N_PARTITIONS) == home)
        placement = Placement(record.partition, N_PARTITIONS, symbols, local)
        read_back += list(read_ticks(record.value, placement))
        assert record.partition == home
    ticks = {tick.symbol: tick for _, tick in read_back if isinstance(tick, Tick)}
    assert ticks["AAPL"].price == 271.35
    assert ticks["MSFT"].ask == 480.12


@pytest.mark.broker
async def test_consumer_of_the_readme_when_a_decision_repeats_then_orders_once(
    broker: str,
) -> None:
    """Two copies give one order; refusals, HOLD and others' books give none; old ones are told."""
    topic = "readme.trading-decisions"
    await made(broker, topic)
    hold = decision(3, symbol="KO", action="HOLD", quantity=0)
    bought = decision(1, symbol="AAPL", quantity=12)
    fresh = msgspec.structs.replace(
        decision(4, symbol="MSFT", quantity=5), timestamp=format_ns(wall_ns())
    )
    other_book = decision(5, symbol="GS", quantity=7, portfolio="paper")
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    for event in (bought, bought, other_book, refused(2, symbol="XOM"), fresh, hold):
        await producer.send_and_wait(topic, msgspec.json.encode(event), key=b"main")
    await producer.stop()
    consuming = program("consume")
    database = sqlite3.connect(":memory:")
    following = asyncio.create_task(consuming.consume(broker, database, topic))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not following.done() and n_taken(database) < 4:  # noqa: ASYNC110  rows raise no event
                await asyncio.sleep(0.05)
    finally:
        following.cancel()
        await asyncio.wait([following])
    assert following.cancelled()
    orders = database.execute("SELECT symbol, side, quantity, state FROM orders").fetchall()
    assert orders == [("AAPL", bought.action, 12, "stale"), ("MSFT", fresh.action, 5, "new")]
    assert n_taken(database) == 4
    other = msgspec.structs.replace(bought, quantity=13)
    with pytest.raises(RuntimeError, match="other bytes"):
        consuming.take(database, msgspec.json.encode(other))
    database.close()


@pytest.mark.broker
async def test_client_of_the_readme_when_it_goes_on_then_acts_once(broker: str) -> None:
    """It sends what the bars stage can use, and after a restart it orders nothing twice."""
    topic, ticks = "client.trading-decisions", "client.market-ticks"
    await made(broker, topic)
    await made(broker, ticks)
    client = program("client")
    await client.feed(broker, ticks)
    (record,) = await read(broker, ticks, 1)
    home = partition_of("AAPL", N_PARTITIONS)
    symbols = frozenset({"AAPL"})
    placement = Placement(record.partition, N_PARTITIONS, symbols, symbols)
    ((_, tick),) = read_ticks(record.value, placement)
    assert isinstance(tick, Tick)
    assert (record.partition, tick.price, tick.seq) == (home, 271.35, 1)

    first, second = (decision(minute, symbol="AAPL", quantity=minute) for minute in (1, 2))
    database = sqlite3.connect(":memory:")
    for said, n_orders in (((first, first), 1), ((first, refused(3, symbol="XOM"), second), 2)):
        producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
        await producer.start()
        for event in said:
            await producer.send_and_wait(topic, msgspec.json.encode(event), key=b"main")
        await producer.stop()
        following = asyncio.create_task(client.follow(broker, database, topic))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not following.done() and n_orders_of(database) < n_orders:  # noqa: ASYNC110  rows raise no event
                    await asyncio.sleep(0.05)
        finally:
            following.cancel()
            await asyncio.wait([following])
        assert following.cancelled()
    orders = database.execute("SELECT decision_id, quantity FROM orders").fetchall()
    assert orders == [(first.decision_id, 1), (second.decision_id, 2)]
    assert database.execute("SELECT next_offset FROM places").fetchall() == [(5,)]
    database.close()


def n_orders_of(database: sqlite3.Connection) -> int:
    """Count the orders; 0 before the tables are there."""
    known = database.execute("SELECT name FROM sqlite_master WHERE name = 'places'").fetchall()
    return database.execute("SELECT count(*) FROM orders").fetchone()[0] if known else 0


def n_taken(database: sqlite3.Connection) -> int:
    """Count the decisions that were taken; 0 before the tables are there."""
    known = database.execute("SELECT name FROM sqlite_master WHERE name = 'taken'").fetchall()
    return database.execute("SELECT count(*) FROM taken").fetchone()[0] if known else 0


def test_settings_of_the_readme_when_read_then_make_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample file has known keys, and its portfolio trades known instruments."""
    path = tmp_path / "tradewind.toml"
    path.write_text(marked("settings"))
    monkeypatch.setenv("TRADEWIND_CONFIG", str(path))
    settings = Settings()
    portfolios = portfolios_of(settings)
    instruments = instruments_of(settings, portfolios[0].universe)
    epoch(instruments=instruments, portfolios=portfolios).check()
    assert portfolios[0].limits == Limits(max_asset_fraction=0.20, max_leverage=1.0)
    assert {i.id: i.lot_size for i in instruments}["EURUSD.OANDA"] == "1000"


def test_settings_table_when_compared_then_has_every_key_and_its_default() -> None:
    """What the README says of a setting is what the code does without it."""
    nested = {"instruments", "portfolios"}
    expected = {k: f.default for k, f in Settings.model_fields.items() if k not in nested}
    structs: tuple[tuple[str, Any, set[str]], ...] = (
        ("instruments.ID.", Instrument, {"id"}),
        ("portfolios.ID.", Portfolio, {"id", "limits", "costs"}),
        ("portfolios.ID.limits.", Limits, set()),
        ("portfolios.ID.costs.", Costs, set()),
    )
    for prefix, kind, left_out in structs:
        for field in msgspec.structs.fields(kind):
            if field.name not in left_out:
                made = field.default_factory
                expected[prefix + field.name] = (
                    field.default if made is msgspec.NODEFAULT else made()
                )
    said = {row[0].strip("`"): row[1].strip("`") for row in table("Key")}
    assert said == {k: "" if v in ((), {}) else str(v) for k, v in expected.items()}


def test_field_tables_when_compared_then_have_every_field_once() -> None:
    """Foreign programs are written from these tables."""
    assert sorted(names("Tick field")) == sorted(Tick.__struct_fields__)
    assert sorted(names("Decision field")) == sorted(Decision.__struct_fields__)


def offers(name: str, command: Any) -> Iterator[tuple[str, list[str]]]:  # noqa: ANN401  of click
    """Give every command below a group with its options."""
    if hasattr(command, "commands"):
        for part, below in command.commands.items():
            yield from offers(f"{name} {part}", below)
        if not command.invoke_without_command or name == "tradewind":
            return
    options = (option for parameter in command.params for option in parameter.opts)
    yield name, sorted(o for o in options if o.startswith("--") and o != "--help")


def test_command_table_when_compared_then_has_every_command_and_option() -> None:
    """What the program offers is what the README lists."""
    offered = dict(offers("tradewind", get_command(cli.program())))
    said = {row[0].strip("`"): sorted(_CODE.findall(row[2])) for row in table("Command")}
    assert said == offered


def test_links_when_followed_then_lead_to_something() -> None:
    """A link to a file of the repository finds it."""
    pages = sorted(page for pattern in PAGES for page in ROOT.glob(pattern))
    links = [(page, link) for page in pages for link in _LINK.findall(page.read_text())]
    dead = [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]
    assert dead == []


def test_numbers_of_the_demo_when_added_up_then_fit_each_other_and_none_is_of_chance() -> None:
    """What a run prints is the same each time, or it is left out: how far explanations are."""
    (block,) = re.findall(r"```\n(Kafka at .*?)```", README, re.DOTALL)
    said = " ".join(block.split())

    def numbers(of: str) -> list[int]:
        (text,) = re.findall(of, said)
        return [int(number.replace(",", "")) for number in re.findall(r" (\d[\d,]*)", text)]

    (n_decisions,) = numbers(r"n decisions( +[\d,]+)")
    assert sum(numbers(r" decisions (hold .*?) refused because")) == n_decisions
    rows = numbers(r"SQL rows of this run:.*? regime_history( .*?) archive_gaps")
    assert rows == [n_decisions, n_decisions]
    assert numbers(r"audit_records( [\d,]+)") == [n_decisions]
    assert "explanations so far ..." in said
    assert not re.search(r"explanations[a-z ]* \d", said)


def test_programs_when_marked_then_are_all_run() -> None:
    """A block that is marked has its test here."""
    assert sorted(dict(_MARKED.findall(README))) == ["client", "consume", "produce", "settings"]
