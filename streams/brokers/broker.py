"""What a stack knows of its broker, and which of the two kinds it gets."""

from pathlib import Path
from typing import Protocol

from streams.access import PLAINTEXT
from streams.brokers.embedded import open_embedded
from streams.brokers.given import VARIABLE, given_servers, open_given
from streams.errors import SettingsError
from streams.settings import Settings


class Broker(Protocol):
    """A Kafka broker that answers; who opened it calls `stop` when done."""

    @property
    def bootstrap_servers(self) -> str:
        """Addresses for clients, ``host:port`` separated by commas."""

    @property
    def provider(self) -> str:
        """``given`` or ``embedded``."""

    @property
    def why(self) -> str:
        """Why it is this provider, and what was found at the start, for people."""

    def stop(self) -> None:
        """End the broker if it is ours to end; a second call does nothing."""

    def alive(self) -> bool:
        """Return whether it is there now."""


def open_broker(home: Path, *, port: int | None = None, detach: bool = False) -> Broker:
    """Return a broker that answers: the given one, else the embedded one of this stack home.

    Parameters
    ----------
    home
        Folder of the stack; the embedded broker keeps its data, state and logs there.
    port
        Port of the embedded broker; by default the one it had, else a free one.
    detach
        If false, the embedded broker dies with this process, even on ``kill -9``, and `stop` of a
        guest leaves a detached one running. If true, it outlives us and is found again by
        its state file.

    Raises
    ------
    SettingsError
        If the settings of Kafka are of another kind than the broker.
    streams.errors.BrokerError
        With what was found, what was expected and what to do.
    """
    servers = given_servers()
    if servers is not None:
        return open_given(servers)
    protocol = Settings.read().kafka_protocol
    if protocol != PLAINTEXT:
        raise SettingsError(
            f"kafka_protocol is {protocol} and {VARIABLE} is not set: the embedded broker speaks "
            f"{PLAINTEXT} on loopback; name the broker that is meant, or leave kafka_protocol out"
        )
    return open_embedded(home, port=port, detach=detach)
