"""What is decided before the broker's process starts."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from streams.brokers import kafka_jars, kafka_start
from streams.brokers.embedded import open_embedded
from streams.brokers.state import BrokerState, read_state
from streams.errors import BrokerFailedError

_BEFORE = BrokerState(
    pid=1,
    birth="boot/1",
    port=31_999,
    controller_port=31_998,
    version="4.1.2",
    detached=True,
    owner_pid=1,
    created_ns=0,
)


def _taken() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_choose_ports_when_the_earlier_port_is_free_then_it_is_kept() -> None:
    """Clients find a restarted broker where it was."""
    with _taken() as server:
        free = server.getsockname()[1]
    port, controller_port = kafka_start._choose_ports(replace(_BEFORE, port=free), None)
    assert port == free
    assert controller_port != free


def test_choose_ports_when_the_earlier_port_is_taken_then_another_is_chosen() -> None:
    """A stack whose port was taken meanwhile starts nevertheless."""
    with _taken() as server:
        taken = server.getsockname()[1]
        assert kafka_start._choose_ports(replace(_BEFORE, port=taken), None)[0] != taken


def test_choose_ports_when_the_wanted_port_is_taken_then_it_is_refused() -> None:
    """A wish for a port is kept or refused, never changed."""
    with _taken() as server, pytest.raises(BrokerFailedError, match="is taken"):
        kafka_start._choose_ports(None, server.getsockname()[1])


def _fake_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let java be a shell script, and the jars be there."""
    path = tmp_path / "jdk" / "bin" / "java"
    path.parent.mkdir(parents=True)
    version = """[ "$1" = -version ] && { echo 'openjdk version "17.0.1"' >&2; exit 0; }"""
    path.write_text(f"#!/bin/sh\n{version}\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setattr(kafka_jars, "class_path", lambda: "a.jar")


def test_open_embedded_when_the_format_fails_then_kafkas_words_are_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data folder that Kafka refuses is not started on."""
    _fake_java(tmp_path, monkeypatch, "echo no space left on device; exit 1")
    with pytest.raises(BrokerFailedError, match="no space left on device"):
        open_embedded(tmp_path / "home", port=None, detach=False)


def test_open_embedded_when_the_broker_ends_at_once_then_its_output_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends with the process, not with the time-out, and leaves the home free."""
    _fake_java(
        tmp_path,
        monkeypatch,
        'case "$*" in *StorageTool*) exit 0;; esac; echo could not reserve heap; exit 1',
    )
    for _ in range(2):
        with pytest.raises(BrokerFailedError, match=r"ended during its start.*") as caught:
            open_embedded(tmp_path / "home", port=None, detach=False)
        assert str(caught.value).endswith("could not reserve heap")


def test_open_embedded_when_the_broker_never_answers_then_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that fails leaves no process behind."""
    _fake_java(tmp_path, monkeypatch, 'case "$*" in *StorageTool*) exit 0;; esac; exec sleep 60')
    monkeypatch.setattr("streams.brokers.embedded._READY_S", 0.2)
    with pytest.raises(BrokerFailedError, match=r"not ready within 0\.2 s"):
        open_embedded(tmp_path / "home", port=None, detach=True)
    state = read_state(tmp_path / "home")
    assert state is not None
    assert not state.process.alive()
