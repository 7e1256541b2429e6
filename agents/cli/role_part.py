"""A process of a stack that outlives the command: started, found again, stopped."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from agents.cli.parts import PartState
from streams.brokers.processes import Launch, Process, birth_of, start
from streams.brokers.waiting import wait_for
from streams.clock import wall_ns
from streams.errors import WorkerFailedError

_READY_S = 30.0
_POLL_S = 0.1
_MB = 2**20


class _State(msgspec.Struct):
    """A started role: its process, and with what it was started."""

    pid: int
    birth: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class RolePart:
    """One role, ``tradewind ARGUMENTS`` in a process of its own.

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

    @property
    def _file(self) -> Path:
        return self.home / "parts" / f"{self.name}.json"

    @property
    def _log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def start(self) -> PartState:
        """Start the role, or find it running as it should; return when it listens."""
        self.launch()
        self.await_ready()
        return self.state()

    def launch(self) -> None:
        """Start the role, or find it running as it should."""
        if self._running() is not None and self._state().arguments != self.arguments:
            self.stop()
        if self._running() is None:
            for folder in (self._file.parent, self._log.parent):
                folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "agents", *self.arguments]
            environment = dict(os.environ)
            process = start(
                Launch(command, Path.cwd(), self._log, environment, tethered=False, append=True)
            )
            state = _State(process.pid, process.birth, self.arguments)
            self._file.write_bytes(msgspec.json.encode(state))

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
            tail = self._log.read_text(errors="replace")[-2000:]
            raise WorkerFailedError(f"{self.name} ended by itself; {self._log} ends with:\n{tail}")

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
            return None
        process.end()
        self._file.unlink(missing_ok=True)
        return f"{self.name} (pid {process.pid})"

    def state(self) -> PartState:
        """Say how the role is."""
        process = self._running()
        if process is None:
            return PartState(self.name, "own", running=False, why="start it with `tradewind up`")
        details = psutil.Process(process.pid)
        listening = f"http://{self.host}:{self.port}/" if self.port else None
        return PartState(
            name=self.name,
            provider="own",
            running=True,
            why=f"log in {self._log}",
            address=self.address or listening,
            pid=process.pid,
            uptime_s=round(wall_ns() / 1e9 - details.create_time(), 1),
            memory_mb=round(details.memory_info().rss / _MB, 1),
        )

    def _state(self) -> _State:
        return msgspec.json.decode(self._file.read_bytes(), type=_State)

    def _running(self) -> Process | None:
        if not self._file.exists():
            return None
        state = self._state()
        process = Process(state.pid, state.birth, self.ask)
        return process if birth_of(state.pid) == state.birth else None
