"""The processes of a run: workers and pages that end with the one that started them."""

import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streams.brokers.processes import Launch, Process, start
from streams.brokers.waiting import wait_for
from streams.errors import WorkerFailedError

GIVES_WAY_NICE = 10
"""Priority of whoever keeps or explains what was decided: trading has the processor first."""

_LOG_TAIL_BYTES = 4_000
_ANSWER_S = 5.0


@dataclass(slots=True)
class Children:
    """Processes started with :meth:`start`, stopped together, the last one first.

    Parameters
    ----------
    logs
        Directory of their output.
    environment
        Settings that differ from this process's, as ``TRADEWIND_*`` variables.
    """

    logs: Path
    environment: dict[str, str] = field(default_factory=dict)
    running: dict[str, Process] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, ask: signal.Signals = signal.SIGTERM) -> None:
        """Start ``tradewind ARGUMENTS``; it dies with this process, however this one ends."""
        self.start_program(name, sys.executable, "-m", "agents", *arguments, ask=ask)

    def start_program(self, name: str, *command: str, ask: signal.Signals = signal.SIGTERM) -> None:
        """Start any program under the same rule; ``ask`` is the signal that ends it in order."""
        self.logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment}
        self.running[name] = start(
            Launch(command, Path.cwd(), self.log_of(name), environment, ask=ask)
        )

    def log_of(self, name: str) -> Path:
        """Return the file with the output of a child."""
        return self.logs / f"{name}.log"

    def check(self) -> None:
        """Say if a child has ended by itself.

        Raises
        ------
        WorkerFailedError
            With the end of the child's log.
        """
        for name, process in self.running.items():
            if not process.alive():
                raise WorkerFailedError(
                    f"{name} (pid {process.pid}) ended by itself. {self.end_of(name)}"
                )

    def end_of(self, name: str) -> str:
        """Return where a child's log is and how it ends, for a message."""
        tail = self.log_of(name).read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return f"The log of {name} is {self.log_of(name)} and ends with:\n{tail}"

    def where(self, name: str) -> str:
        """Ask a worker where its tasks wait, and return what its log says then."""
        log = self.log_of(name)
        n_before = log.stat().st_size
        with suppress(KeyError, ProcessLookupError):  # it has ended meanwhile
            os.kill(self.running[name].pid, signal.SIGUSR1)
            # A loop that does not answer says so by its silence.
            wait_for(lambda: log.stat().st_size > n_before, timeout_s=_ANSWER_S)
        return f"Asked {name}:\n{log.read_bytes()[n_before:].decode(errors='replace')}"

    def finish(self, name: str, *, timeout_s: float) -> None:
        """Wait for a child that ends by itself.

        Raises
        ------
        WorkerFailedError
            If it is not done in time.
        """
        process = self.running[name]
        if not wait_for(lambda: not process.alive(), timeout_s=timeout_s):
            raise WorkerFailedError(
                f"{name} (pid {process.pid}) was not done within {timeout_s:g} s; its log is "
                f"{self.log_of(name)}"
            )
        del self.running[name]

    def stop(self) -> None:
        """Ask every child to end, and see that it does."""
        for name in reversed(list(self.running)):
            self.running.pop(name).end()


def memory_mb() -> float:
    """Return the resident memory of this process and all below it, shared pages counted once.

    Proportional set size (Linux smaps_rollup): a page that n processes share counts 1/n in each.
    """
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


def free_port(host: str) -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
