"""The parts of a stack that outlive a command: how each starts, stops and is found again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from streams.brokers import open_broker
from streams.brokers.embedded import EmbeddedBroker, find_embedded
from streams.brokers.given import GivenBroker, given_servers
from streams.clock import wall_ns
from streams.errors import BrokerHeldError
from streams.kafka_access import access_of
from streams.settings import Settings

_MB = 1024 * 1024


@dataclass(frozen=True)
class PartState:
    """What is known of one part now; fields that do not apply are None."""

    name: str
    provider: str
    running: bool
    why: str
    address: str | None = None
    pid: int | None = None
    uptime_s: float | None = None
    memory_mb: float | None = None
    restarts: int | None = None


class Part(Protocol):
    """One part of a stack."""

    def start(self) -> PartState:
        """Start the part, or find it running; return when it can be used."""

    def stop(self) -> str | None:
        """Stop the part and say what was stopped; None if nothing of ours ran."""

    def state(self) -> PartState:
        """Say how the part is; change nothing."""


@dataclass(frozen=True)
class BrokerPart:
    """The stack's Kafka broker."""

    home: Path
    port: int | None = None

    def start(self) -> PartState:
        """Start the detached broker, attach to it, or check the given one."""
        broker = open_broker(self.home, port=self.port, detach=True)
        if isinstance(broker, EmbeddedBroker):
            return _embedded_state(broker)
        return _given_state(broker.bootstrap_servers, broker.why, running=True)

    def stop(self) -> str | None:
        """Stop the embedded broker that runs detached; refuse one that a program runs for itself.

        A broker of this home is stopped even while the environment names another one.
        """
        broker = find_embedded(self.home)
        if broker is None:
            return None
        if not broker.state.detached:
            raise BrokerHeldError(
                f"The broker of {self.home} (pid {broker.state.pid}) belongs to the running"
                f" process {broker.state.owner_pid} and ends with it. End that process."
            )
        broker.stop()
        return f"broker at {broker.bootstrap_servers} (pid {broker.state.pid})"

    def state(self) -> PartState:
        """Say whether the broker runs, where, and how large it is."""
        servers = given_servers()
        if servers is not None:
            given = GivenBroker(servers, access=access_of(Settings.read()))
            return _given_state(servers, given.why, running=given.alive())
        broker = find_embedded(self.home)
        if broker is None:
            return PartState(
                "broker", "embedded", running=False, why="start it with `tradewind up`"
            )
        return _embedded_state(broker)


def parts_of(home: Path, *, port: int | None = None) -> list[Part]:
    """Return the parts of the stack in ``home``, in the order in which they start."""
    return [BrokerPart(home, port)]


def _given_state(servers: str, why: str, *, running: bool) -> PartState:
    return PartState("broker", "given", running=running, why=why, address=servers)


def _embedded_state(broker: EmbeddedBroker) -> PartState:
    process = psutil.Process(broker.state.pid)
    return PartState(
        name="broker",
        provider=broker.provider,
        running=True,
        why=broker.why,
        address=broker.bootstrap_servers,
        pid=broker.state.pid,
        uptime_s=round((wall_ns() - broker.state.created_ns) / 1e9, 1),
        memory_mb=round(process.memory_info().rss / _MB, 1),
    )
