"""What a stack writes down about its broker, so that another process finds it again."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from streams.brokers.processes import Process
from streams.errors import BrokerHeldError

_FILE = "broker.json"


@dataclass(frozen=True)
class BrokerState:
    """One start of the embedded broker.

    Parameters
    ----------
    pid, birth
        The process; ``birth`` sets it apart from a later one with the same pid.
    port, controller_port
        Where it listens on loopback.
    version
        Kafka's version.
    detached
        Whether it outlives the process that started it.
    owner_pid
        The process that started it.
    created_ns
        Wall clock of the start, in nanoseconds since the epoch.
    stopped
        Whether it was stopped in order; the ports are kept for the next start.
    """

    pid: int
    birth: str
    port: int
    controller_port: int
    version: str
    detached: bool
    owner_pid: int
    created_ns: int
    stopped: bool = False

    @property
    def process(self) -> Process:
        """The process, comparable with what runs under its pid now."""
        return Process(self.pid, self.birth)


def write_state(home: Path, state: BrokerState) -> None:
    """Replace the state file in one step: a reader sees the old one or the new one."""
    draft = home / f"{_FILE}.draft"
    with draft.open("w") as file:
        json.dump(asdict(state), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(home / _FILE)


def read_state(home: Path) -> BrokerState | None:
    """Return what the last start wrote; None if there was none."""
    path = home / _FILE
    try:
        return BrokerState(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise BrokerHeldError(
            f"{path} is not a state file of this version ({error})."
            " Make sure that no broker of this stack runs, then delete the file."
        ) from error


def mark_stopped(home: Path, state: BrokerState) -> None:
    """Write down that this broker was stopped in order, unless a later one has started."""
    if read_state(home) == state:
        write_state(home, replace(state, stopped=True))
