"""A broker that someone else runs; we use its address and never stop it."""

import logging
import os
import time
from dataclasses import dataclass

from streams import metrics
from streams.access import PLAIN, Access
from streams.brokers.probe import answers, split_address
from streams.brokers.waiting import wait_for
from streams.errors import BrokerUnreachableError
from streams.kafka_access import access_of
from streams.settings import Settings

log = logging.getLogger("tradewind.broker")

VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
_REACH_S = 10.0

_LOOK_S = 1.0
_LOOKS_A_LINE = 60


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
    _check(servers, VARIABLE)
    access = access_of(Settings.read())
    broker = GivenBroker(servers, access=access)
    if not wait_for(broker.alive, timeout_s=timeout_s, poll_s=0.2):
        raise BrokerUnreachableError(
            f"No Kafka broker answered at {servers} within {timeout_s:g} s ({VARIABLE})."
            f" Start it, correct the address (it must speak {access.protocol}, setting"
            " kafka_protocol), or unset the variable to run the embedded broker."
        )
    return broker


def await_broker(servers: str) -> None:
    """Return once one of the addresses answers, however long that takes; say so now and then.

    For what somebody starts again when it ends: a process that gives up because the broker is away
    looks like one that is broken.

    Raises
    ------
    BrokerUnreachableError
        If an address can be none.
    """
    _check(servers, "--bootstrap")
    broker = GivenBroker(servers, access=access_of(Settings.read()))
    n_looks = 0
    with metrics.BROKER_AWAY.track_inprogress():
        while not broker.alive():
            if n_looks % _LOOKS_A_LINE == 0:
                log.warning("Kafka at %s does not answer; waiting for it", servers)
            n_looks += 1
            time.sleep(_LOOK_S)


def _check(servers: str, where: str) -> None:
    for address in servers.split(","):
        if split_address(address) is None:
            raise BrokerUnreachableError(
                f"{where} has {address!r}; expected host:port, several separated by commas."
            )
