"""Real Apache Kafka as a child or as a detached process, one per stack home."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from streams.brokers.broker_log import log_tail
from streams.brokers.homes import private_folder
from streams.brokers.kafka_config import HOST
from streams.brokers.kafka_start import start_kafka
from streams.brokers.locks import FileLock
from streams.brokers.probe import answers
from streams.brokers.state import BrokerState, mark_stopped, read_state
from streams.brokers.waiting import wait_for
from streams.errors import BrokerFailedError, BrokerHeldError

# Two seconds on two cores; a first start of a laden machine, with logs to recover, takes longer.
_READY_S = 90.0
# How long another process may take between its lock and its state file.
_HANDOVER_S = 10.0


@dataclass(frozen=True)
class EmbeddedBroker:
    """A broker that runs in a stack home.

    Parameters
    ----------
    home
        The stack's folder.
    state
        What its start wrote down.
    ours
        Whether `stop` ends it; a guest of someone's detached broker leaves it running.
    why
        Why this provider is used, and what was found at the start.
    """

    home: Path
    state: BrokerState
    ours: bool
    why: str
    provider: str = "embedded"

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{HOST}:{self.state.port}"

    def alive(self) -> bool:
        """Return whether the broker's process still runs."""
        return self.state.process.alive()

    def check(self) -> None:
        """Raise with the end of the broker's log if its process is gone."""
        if not self.alive():
            raise BrokerFailedError(
                f"The broker (pid {self.state.pid}) has ended.\n{log_tail(self.home)}"
            )

    def stop(self) -> None:
        """End the broker if it is ours, and return when it is gone; a second call does nothing."""
        if not self.ours or not self.alive():
            return  # a crash is not written down as a stop: the next start shall mention it
        self.state.process.end()
        mark_stopped(self.home, self.state)


def open_embedded(home: Path, *, port: int | None, detach: bool) -> EmbeddedBroker:
    """Start the broker of ``home``, or attach to the detached one that runs there."""
    private_folder(home)
    found = wait_for(partial(_lock_or_state, home), timeout_s=_HANDOVER_S)
    if found is None:
        raise BrokerHeldError(
            f"A process holds {_lock_path(home)} but wrote no state within {_HANDOVER_S:g} s."
            f" See who with `fuser {_lock_path(home)}`, end it, and start again."
        )
    if isinstance(found, BrokerState):
        return _attach(home, found, port=port, detach=detach)
    # The broker inherits the lock and keeps it for its life; our own hold ends when it runs.
    with found as lock:
        return _start(home, lock, port=port, detach=detach)


def find_embedded(home: Path) -> EmbeddedBroker | None:
    """Return the broker that runs in ``home``, None if none does; start nothing."""
    state = read_state(home)
    if state is None or not state.process.alive():
        return None
    return EmbeddedBroker(home, state, ours=state.detached, why="found by its state file")


def _attach(home: Path, state: BrokerState, *, port: int | None, detach: bool) -> EmbeddedBroker:
    if not state.detached:
        raise BrokerHeldError(
            f"{home} is in use: process {state.owner_pid} runs its own broker there (pid"
            f" {state.pid}). Wait for it or end it, or take another stack name."
        )
    if port not in {None, state.port}:
        raise BrokerHeldError(
            f"The broker of {home} runs on port {state.port}, asked for was {port}."
            " Run `tradewind down` first, or take another stack name."
        )
    broker = EmbeddedBroker(
        home, state, ours=detach, why=f"attached to the running broker (pid {state.pid})"
    )
    _wait_until_ready(broker)
    return broker


def _lock_or_state(home: Path) -> FileLock | BrokerState | None:
    """Return the lock if no broker runs, its state if one does, None if neither is sure yet."""
    lock = FileLock.try_take(_lock_path(home))
    if lock is not None:
        return lock
    state = read_state(home)
    return state if state is not None and state.process.alive() else None


def _start(home: Path, lock: FileLock, *, port: int | None, detach: bool) -> EmbeddedBroker:
    before = read_state(home)
    state = start_kafka(home, lock, before=before, port=port, detach=detach)
    broker = EmbeddedBroker(home, state, ours=True, why=_why(before))
    try:
        _wait_until_ready(broker)
    except BaseException:
        broker.stop()
        raise
    return broker


def _why(before: BrokerState | None) -> str:
    if before is None or before.stopped:
        return "KAFKA_BOOTSTRAP_SERVERS is not set"
    return (
        "KAFKA_BOOTSTRAP_SERVERS is not set; the earlier broker"
        f" (pid {before.pid}) ended without being stopped, started again on its data"
    )


def _wait_until_ready(broker: EmbeddedBroker) -> None:
    def settled() -> bool:
        return not broker.alive() or answers(broker.bootstrap_servers)

    in_time = wait_for(settled, timeout_s=_READY_S)
    if not broker.alive():
        raise BrokerFailedError(
            f"The broker ended during its start; its log is in {broker.home / 'logs'}"
            f" and ends with:\n{log_tail(broker.home)}"
        )
    if in_time is None:
        raise BrokerFailedError(
            f"The broker was not ready within {_READY_S:g} s at {broker.bootstrap_servers};"
            f" its log is in {broker.home / 'logs'} and ends with:\n{log_tail(broker.home)}"
        )


def _lock_path(home: Path) -> Path:
    return home / "broker.lock"
