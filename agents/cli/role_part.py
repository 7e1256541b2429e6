"""A process of a stack that outlives the command: started, found again, stopped."""

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from agents.cli.parts import PartState
from agents.run import keeper
from agents.run.kept_role import KeptRole
from streams.brokers.processes import Process
from streams.brokers.waiting import wait_for
from streams.clock import wall_ns
from streams.errors import WorkerFailedError
from streams.timestamps import format_ns

_READY_S = 30.0
_POLL_S = 0.1
_MB = 2**20
_ELSEWHERE = (
    "it answers, and belongs to a program in the foreground, such as a demo, with which it ends"
)


@dataclass(frozen=True)
class RolePart:
    """One role, ``python -m MODULE ARGUMENTS`` in a process of its own.

    Parameters
    ----------
    name, home, arguments
        What it is called, whose it is, and what is run.
    port, host
        Where it listens; port 0 if it does not.
    address
        What to show instead of host and port.
    listens
        Says whether it is ready, where a port cannot.
    ready_s
        How long it may take to be ready.
    ask
        The signal that ends it in order.
    module
        The program: `tradewind` itself, unless it is too large for what is done.
    """

    name: str
    home: Path
    arguments: tuple[str, ...]
    port: int = 0
    host: str = "127.0.0.1"
    address: str | None = None
    listens: Callable[[], bool] | None = None
    ready_s: float = _READY_S
    ask: signal.Signals = signal.SIGTERM
    module: str = "agents"

    @property
    def _kept(self) -> KeptRole:
        return KeptRole(self.home, self.name)

    def start(self) -> PartState:
        """Start the role, or find it running as it should; return when it listens."""
        self.launch()
        self.await_ready()
        return self.state()

    def launch(self) -> None:
        """Start the role, or find it running as it should."""
        wanted, known = (self.module, *self.arguments), self._kept.started()
        if known is not None and known.arguments != wanted:
            self.stop()
        if self._running() is None:
            self._kept.launch(wanted)

    def await_ready(self) -> None:
        """Return when the role listens.

        Raises
        ------
        WorkerFailedError
            If it ended by itself.
        """

        def settled() -> bool:
            return self._running() is None or self._listens()

        wait_for(settled, timeout_s=self.ready_s, poll_s=_POLL_S)
        if self._running() is None:
            log = self._kept.log
            tail = log.read_text(errors="replace")[-2000:]
            self._kept.forget()
            raise WorkerFailedError(f"{self.name} ended by itself; {log} ends with:\n{tail}")

    def _listens(self) -> bool:
        if self.listens is not None:
            return self.listens()
        if not self.port:
            return True
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def stop(self) -> str | None:
        """End the role and say so; None if it did not run."""
        process = self._running()
        if process is None:
            self._kept.end_rest()
        else:
            process.end()
        self._kept.forget()
        return None if process is None else f"{self.name} (pid {process.pid})"

    def state(self) -> PartState:
        """Say how the role is."""
        process, known = self._running(), self._kept.started()
        restarts = known.restarts if known is not None else None
        used = None if process is None else _used(process.pid)
        if process is None or used is None:
            if self.listens is not None and self.listens():
                return PartState(
                    self.name, "own", running=True, why=_ELSEWHERE, address=self.address
                )
            return PartState(
                self.name, "own", running=False, why=self._why_not(), restarts=restarts
            )
        listening = f"http://{self.host}:{self.port}/" if self.port else None
        return PartState(
            name=self.name,
            provider="own",
            running=True,
            why=f"log in {self._kept.log}{self._restarted()}",
            address=self.address or listening,
            pid=process.pid,
            uptime_s=used.uptime_s,
            memory_mb=used.memory_mb,
            restarts=restarts,
        )

    def _restarted(self) -> str:
        known = self._kept.started()
        if known is None or not known.restarts:
            return ""
        return f"; started again {known.restarts} times, last {format_ns(known.restarted_ns)}"

    def _why_not(self) -> str:
        known = self._kept.started()
        if known is None:
            return "start it with `tradewind up`"
        if known.gave_up:
            return (
                f"it ended by itself again and again and was given up{self._restarted()}; read the "
                f"end of {self._kept.log}, then `tradewind up`"
            )
        is_kept = KeptRole(self.home, keeper.NAME).process() is not None
        then = "the keeper starts it again" if is_kept else "nobody keeps it: run `tradewind up`"
        return f"it ended by itself, {then}; log in {self._kept.log}"

    def _running(self) -> Process | None:
        return self._kept.process(self.ask)


class _Used(NamedTuple):
    """What a process has had so far."""

    uptime_s: float
    memory_mb: float


def _used(pid: int) -> _Used | None:
    """Ask the system about a process; None if it has ended since it was seen."""
    try:
        details = psutil.Process(pid)
        started_s, n_bytes = details.create_time(), details.memory_info().rss
    except psutil.NoSuchProcess:
        return None
    return _Used(round(wall_ns() / 1e9 - started_s, 1), round(n_bytes / _MB, 1))
