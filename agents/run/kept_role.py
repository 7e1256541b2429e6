"""A process that outlives the command that started it, by what its start wrote down."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streams.brokers.processes import Launch, Process, birth_of, start
from streams.clock import wall_ns


class Started(msgspec.Struct):
    """What was started: the process, with what, and how often it had to be started again.

    ``arguments`` are Python's, from the module on. ``restarts`` count from the last `up` on, the
    last one at ``restarted_ns``.
    """

    pid: int
    birth: str
    arguments: tuple[str, ...]
    restarts: int = 0
    restarted_ns: int = 0
    gave_up: bool = False


@dataclass(frozen=True)
class KeptRole:
    """A role of the stack in ``home``, ``python -m ARGUMENTS`` in a process of its own."""

    home: Path
    name: str

    @property
    def file(self) -> Path:
        """Where it is written down."""
        return self.home / "parts" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.home / "logs" / f"{self.name}.log"

    def started(self) -> Started | None:
        """Return what was started and not stopped, None if nothing was."""
        if not self.file.exists():
            return None
        return msgspec.json.decode(self.file.read_bytes(), type=Started)

    def process(self, ask: signal.Signals = signal.SIGTERM) -> Process | None:
        """Return the process if it runs; ``ask`` is the signal that ends it in order."""
        known = self.started()
        if known is None or birth_of(known.pid) != known.birth:
            return None
        return Process(known.pid, known.birth, ask)

    def launch(self, arguments: tuple[str, ...], *, restarts: int = 0) -> None:
        """Start it in this process's environment and directory; earlier output stays."""
        self.end_rest()
        for folder in (self.file.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", *arguments]
        environment = dict(os.environ)
        process = start(
            Launch(command, Path.cwd(), self.log, environment, tethered=False, append=True)
        )
        at_ns = wall_ns() if restarts else 0
        self.keep(Started(process.pid, process.birth, arguments, restarts, at_ns))

    def end_rest(self) -> None:
        """End what it left running when it was killed: its port is taken as long as that runs."""
        known = self.started()
        if known is not None:
            Process(known.pid, known.birth).end_rest()

    def keep(self, started: Started) -> None:
        """Write it down in one step."""
        draft = self.file.with_suffix(".partial")
        draft.write_bytes(msgspec.json.encode(started))
        draft.replace(self.file)

    def forget(self) -> None:
        """Take it for stopped."""
        self.file.unlink(missing_ok=True)
