"""The live roles of a stack: worker, clock and page, each a process that outlives the command."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from agents.cli.parts import PartState
from agents.run.calendars import calendars_of, live_stretch
from agents.run.fit import spread
from agents.run.workers import free_port
from models.features.catalogue import PIPELINE_VERSION, pipeline_digest
from streams.brokers.processes import Launch, Process, birth_of, start
from streams.brokers.waiting import wait_for
from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.errors import SettingsError, WorkerFailedError
from streams.settings import Settings, instruments_of, portfolios_of
from tables.epochs import Epochs
from tables.stores.artifacts import Artifacts

CLOCK_ID = "live"

_READY_S = 30.0
_POLL_S = 0.1
_MB = 2**20


class LivePlan(msgspec.Struct):
    """What a stack runs live: its epochs in order of announcement, and its ports."""

    epochs: list[str]
    label: str
    worker_port: int
    web_port: int

    @classmethod
    def of(cls, home: Path) -> "LivePlan | None":
        """Return the stack's plan, None if nothing was ever started live."""
        path = home / "live.json"
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else None

    def keep(self, home: Path) -> None:
        """Write the plan."""
        path = home / "live.json"
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(self))
        partial.replace(path)


def planned(home: Path, models: str, settings: Settings) -> LivePlan:
    """Return the plan with an epoch of these models and settings, a new one if anything changed."""
    artifacts = Artifacts(home / "artifacts")
    metadata = artifacts.load_models(models).metadata
    instruments = instruments_of(settings, tuple(metadata["symbols"]))
    first_ns, last_ns = live_stretch(wall_ns())
    epoch = Epoch(
        timeframe=metadata["timeframe"],
        n_partitions=settings.partitions,
        clock_id=CLOCK_ID,
        lateness_ms=settings.lateness_ms,
        max_ahead_ms=settings.max_ahead_ms,
        venue_latency_ms=settings.venue_latency_ms,
        instruments=instruments,
        calendars=calendars_of(instruments, first_ns, last_ns, artifacts),
        portfolios=spread(portfolios_of(settings), metadata),
        models=models,
        pipeline_version=PIPELINE_VERSION,
        pipeline_digest=pipeline_digest(),
    )
    epochs = Epochs(artifacts)
    digest = epochs.put(epoch)
    plan = LivePlan.of(home)
    if plan is not None and epochs.load(plan.epochs[-1]).epoch.layout() != epoch.layout():
        raise SettingsError(
            "these models or settings change the grid, the universe or an account that is live; "
            "start them as a stack of their own with --name"
        )
    if plan is None:
        label = f"live, bars of {epoch.timeframe}"
        plan = LivePlan([], label, free_port(settings.web_host), free_port(settings.web_host))
    if digest not in plan.epochs[-1:]:
        plan.epochs.append(digest)
    plan.keep(home)
    return plan


class _State(msgspec.Struct):
    """A started role: its process, and with what it was started."""

    pid: int
    birth: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class RolePart:
    """One live role."""

    name: str
    home: Path
    arguments: tuple[str, ...]
    port: int = 0
    host: str = "127.0.0.1"

    @property
    def _file(self) -> Path:
        return self.home / "parts" / f"{self.name}.json"

    @property
    def _log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    def start(self) -> PartState:
        """Start the role, or find it running as it should; return when it listens."""
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
            self._await_ready(process)
        return self.state()

    def _await_ready(self, process: Process) -> None:
        def settled() -> bool:
            return not process.alive() or self._listens()

        wait_for(settled, timeout_s=_READY_S, poll_s=_POLL_S)
        if not process.alive():
            tail = self._log.read_text(errors="replace")[-2000:]
            raise WorkerFailedError(f"{self.name} ended by itself; {self._log} ends with:\n{tail}")

    def _listens(self) -> bool:
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
        return PartState(
            name=self.name,
            provider="own",
            running=True,
            why=f"log in {self._log}",
            address=f"http://{self.host}:{self.port}/" if self.port else None,
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
        process = Process(state.pid, state.birth)
        return process if birth_of(state.pid) == state.birth else None


def roles_of(home: Path, plan: LivePlan, bootstrap: str, host: str) -> list[RolePart]:
    """Return the live roles in the order in which they start."""
    artifacts = f"--artifacts={home / 'artifacts'}"
    servers = f"--bootstrap={bootstrap}"
    worker = (
        "worker",
        servers,
        artifacts,
        f"--data={home / 'tables'}",
        f"--web-port={plan.worker_port}",
    )
    clock = (
        "clock",
        servers,
        artifacts,
        f"--epoch={plan.epochs[-1]}",
        f"--number={len(plan.epochs)}",
    )
    web = (
        "web",
        servers,
        f"--port={plan.web_port}",
        f"--label={plan.label}",
        f"--stats-url=http://{host}:{plan.worker_port}/",
        f"--host={host}",
    )
    return [
        RolePart("worker", home, worker, plan.worker_port, host),
        RolePart("clock", home, clock),
        RolePart("web", home, web, plan.web_port, host),
    ]
