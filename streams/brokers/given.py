"""A broker that someone else runs; we use its address and never stop it."""

import os
from dataclasses import dataclass

from streams.access import PLAIN, Access
from streams.brokers.probe import answers, split_address
from streams.brokers.waiting import wait_for
from streams.errors import BrokerUnreachableError
from streams.kafka_access import access_of
from streams.settings import Settings

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_REACH_S = 10.0


@dataclass(frozen=True)
class GivenBroker:
    """A broker known by address."""

    bootstrap_servers: str
    provider: str = "given"
    why: str = f"{VARIABLE} is set"
    access: Access = PLAIN

    def stop(self) -> None:
        """Do nothing: who started it stops it."""

    def alive(self) -> bool:
        """Return whether one of the addresses answers now."""
        addresses = self.bootstrap_servers.split(",")
        return any(answers(address, access=self.access) for address in addresses)


def given_servers() -> str | None:
    """Return the addresses that the environment names, None if it names none."""
    return os.environ.get(VARIABLE, "").strip() or None


def open_given(servers: str, *, timeout_s: float = _REACH_S) -> GivenBroker:
    """Return the broker at ``servers`` once one of the addresses answers; give up in time."""
    for address in servers.split(","):
        if split_address(address) is None:
            raise BrokerUnreachableError(
                f"{VARIABLE} has {address!r}; expected host:port, several separated by commas."
            )
    access = access_of(Settings.read())
    broker = GivenBroker(servers, access=access)
    if not wait_for(broker.alive, timeout_s=timeout_s, poll_s=0.2):
        raise BrokerUnreachableError(
            f"No Kafka broker answered at {servers} within {timeout_s:g} s ({VARIABLE})."
            f" Start it, correct the address (it must speak {access.protocol}, setting"
            " kafka_protocol), or unset the variable to run the embedded broker."
        )
    return broker
