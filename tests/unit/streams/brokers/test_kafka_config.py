"""The embedded broker's configuration."""

from pathlib import Path

import pytest

from streams.brokers.kafka_config import render_properties, server_command, server_properties
from streams.errors import BrokerFailedError


def test_server_properties_when_ports_are_given_then_only_loopback_listens() -> None:
    """Neither listener is reachable from another machine."""
    settings = server_properties(Path("/data"), 29092, 29093)
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:29092"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:29093"


def test_server_properties_when_rendered_then_one_node_can_hold_every_internal_topic() -> None:
    """A replication factor above one would block consumers on a single node."""
    settings = server_properties(Path("/data"), 1, 2)
    factors = {key: value for key, value in settings.items() if key.endswith("replication.factor")}
    assert factors == {
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "share.coordinator.state.topic.replication.factor": "1",
    }
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["group.initial.rebalance.delay.ms"] == "0"


def test_server_properties_when_the_folder_has_a_comma_then_it_is_refused() -> None:
    """Kafka would read two data folders."""
    with pytest.raises(BrokerFailedError, match="without one"):
        server_properties(Path("/data/a,b"), 1, 2)


def test_render_properties_when_a_value_is_not_ascii_then_java_reads_it_back() -> None:
    """Java's format is Latin-1: backslashes double, the rest is escaped as UTF-16 units."""
    rendered = render_properties({"log.dirs": "/Märkte\\𝄞"})
    assert rendered == "log.dirs=/M\\u00e4rkte\\\\\\ud834\\udd1e\n"


def test_server_command_when_built_then_the_heap_is_bounded() -> None:
    """The broker's heap is half a gigabyte at most, and it ends when that is not enough."""
    command = server_command(Path("/java"), "a.jar:b.jar", Path("/b/s.properties"), Path("/logs"))
    assert command[0] == "/java"
    assert {"-Xmx512m", "-XX:+ExitOnOutOfMemoryError"} <= set(command)
    assert command[-4:] == ["-cp", "a.jar:b.jar", "kafka.Kafka", "/b/s.properties"]
