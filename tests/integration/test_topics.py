"""Topics as code on a real broker: planned, applied, and nothing lost without the flag."""

import asyncio
import json
from pathlib import Path

import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from agents.cli import topics as commands
from agents.topology import all_changelogs
from streams.brokers.given import VARIABLE
from streams.topic_changes import administering, described
from streams.topic_plan import TopicState
from streams.topics import CATALOGUE, MARKET_TICKS, TRADING_DECISIONS

pytestmark = pytest.mark.broker


@pytest.fixture
def stack(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the broker that of the default stack; return its address."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setenv(VARIABLE, broker)
    monkeypatch.setenv("COLUMNS", "250")
    return broker


def say(*words: str) -> Result:
    """Run the program."""
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ["topics", *words])


def alter(servers: str, topic: str, settings: dict[str, str]) -> None:
    """Set all of a topic's settings, as a person at Kafka's tools would."""

    async def altered() -> None:
        async with administering(servers) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])

    asyncio.run(altered())


async def read(servers: str, *topics: str) -> dict[str, TopicState]:
    """Return some topics as the broker has them."""
    async with administering(servers) as admin:
        return await described(admin, topics)


def test_topics_when_applied_then_the_next_plan_is_empty(stack: str) -> None:
    """All of the catalogue is made as declared, with nothing left to say."""
    n_topics = len(CATALOGUE) + len(all_changelogs("codified"))
    planned = say("plan", "--run=codified", "--json")
    assert planned.exit_code == 2
    assert {change["what"] for change in json.loads(planned.stdout)} == {"topic"}
    assert len(json.loads(planned.stdout)) == n_topics
    made = say("apply", "--run=codified")
    assert made.exit_code == 0, made.output
    assert f"{n_topics} changes made. {n_topics} topics are as declared." in made.output
    again = say("plan", "--run=codified", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, [])
    name = f"codified.{TRADING_DECISIONS.name}"
    found = asyncio.run(read(stack, name))[name]
    assert {key: found.settings[key] for key in found.own} == TRADING_DECISIONS.settings()


def test_topics_when_a_cluster_drifted_then_only_what_is_harmless_is_put_right(
    stack: str,
) -> None:
    """A shorter retention is made longer again; a longer one stays until the flag is given."""
    say("apply", "--run=drifted")
    decisions, ticks = (f"drifted.{spec.name}" for spec in (TRADING_DECISIONS, MARKET_TICKS))
    alter(stack, decisions, TRADING_DECISIONS.settings() | {"retention.ms": "60000"})
    longer = MARKET_TICKS.settings() | {"retention.ms": "-1", "retention.bytes": "123456789"}
    alter(stack, ticks, longer)
    done = say("apply", "--run=drifted", "--json")
    assert done.exit_code == 2
    left = {(one["topic"], one["what"]): one for one in json.loads(done.stdout)}
    assert set(left) == {(ticks, "retention.bytes"), (ticks, "retention.ms")}
    assert {one["kind"] for one in left.values()} == {"destructive"}
    found = asyncio.run(read(stack, decisions, ticks))
    assert found[decisions].settings["retention.ms"] == str(TRADING_DECISIONS.retention_ms)
    assert found[ticks].settings["retention.ms"] == "-1"
    assert say("apply", "--run=drifted", "--destructive").exit_code == 0
    assert say("plan", "--run=drifted").exit_code == 0


def test_topics_when_partitions_differ_then_records_go_only_with_the_flag(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer partitions need a topic made anew; more of them can be added."""
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "4")
    say("apply", "--run=resized")
    topic = f"resized.{MARKET_TICKS.name}"
    asyncio.run(said(stack, topic))
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "2")
    refused = say("apply", "--run=resized")
    assert refused.exit_code == 2
    assert "the topic is deleted with its records" in " ".join(refused.output.split())
    assert asyncio.run(ends(stack, topic)) == [1, 0, 0, 0]
    assert say("apply", "--run=resized", "--destructive").exit_code == 0
    assert asyncio.run(ends(stack, topic)) == [0, 0]
    monkeypatch.setenv("TRADEWIND_PARTITIONS", "3")
    assert say("apply", "--run=resized", "--destructive").exit_code == 0
    assert asyncio.run(ends(stack, topic)) == [0, 0, 0]
    assert say("plan", "--run=resized").exit_code == 0


@pytest.mark.usefixtures("stack")
def test_topics_when_more_copies_are_wanted_than_there_are_brokers_then_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new topic is refused by the cluster, one that is there is left to a person."""
    monkeypatch.setenv("TRADEWIND_REPLICATION", "3")
    refused = say("apply", "--run=copied")
    assert refused.exit_code == 1
    assert "could not be created: code 38" in refused.output
    monkeypatch.setenv("TRADEWIND_REPLICATION", "1")
    assert say("apply", "--run=copied").exit_code == 0
    monkeypatch.setenv("TRADEWIND_REPLICATION", "3")
    planned = say("plan", "--run=copied", "--json")
    kinds = {(one["what"], one["kind"]) for one in json.loads(planned.stdout)}
    assert kinds == {("replication", "by hand"), ("min.insync.replicas", "by hand")}


async def said(servers: str, topic: str) -> None:
    """Put one record into partition 0."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    await producer.send_and_wait(topic, b"{}", partition=0)
    await producer.stop()


async def ends(servers: str, topic: str) -> list[int]:
    """Return the end of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        n_partitions = (await read(servers, topic))[topic].n_partitions
        places = [TopicPartition(topic, number) for number in range(n_partitions)]
        found = await consumer.end_offsets(places)
        return [found[place] for place in places]
    finally:
        await consumer.stop()
