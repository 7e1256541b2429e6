"""What a live stack does by the clock: old runs leave MLflow, old days of the trail leave SQL.

What its stages said is made once more, and where they stand is kept.
"""

import logging
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agents.run.kept_role import KeptRole
from agents.run.workers import GIVES_WAY_NICE
from streams.brokers.processes import Launch, Process, start
from streams.clock import wall_ns
from streams.errors import StreamError
from tables.stores.daily_marks import (
    CHECKPOINT,
    RETENTION,
    RUN_CHECK,
    SHELF,
    last_done_ns,
    mark_done,
)
from tables.stores.servers import mlflow, postgres

log = logging.getLogger("tradewind.keeper")

_HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * _HOUR_NS
# Ticks are kept for a day: the last twenty hours can be folded again, four of them at most.
CHECKPOINT_NS = 4 * _HOUR_NS
# Slices are on their topics for six hours: a check that fails has time to be tried once more.
CHECK_NS = 4 * _HOUR_NS
# Between two attempts of what failed.
RETRY_NS = _HOUR_NS


class Task(NamedTuple):
    """A command that says when it was done, its log, whether a stack can do it, and how often."""

    kind: str
    words: tuple[str, ...]
    output: str
    is_usable: Callable[[Path], bool]
    every_ns: int = DAY_NS


def _has_mlflow(home: Path) -> bool:
    return mlflow.is_usable(home)


def _has_database(home: Path) -> bool:
    return postgres.is_usable(home)


def _is_live(home: Path) -> bool:
    return KeptRole(home, "worker").started() is not None


TASKS = (
    Task(CHECKPOINT, ("checkpoint",), "checkpoint.log", _is_live, CHECKPOINT_NS),
    Task(RETENTION, ("mlflow", "retain"), "retention.log", _has_mlflow),
    Task(SHELF, ("audit", "shelve"), "shelf.log", _has_database),
    Task(RUN_CHECK, ("verify-run",), "run-check.log", _is_live, CHECK_NS),
)


@dataclass
class Daily:
    """Starts each task when its time is over since it was last done, whoever did it.

    The times are in the stack's folder, so a restart of the stack or its keeper neither skips one
    nor repeats it; after some days without the stack it is done once. What failed is tried again
    every hour. A stack that is new waits first.

    Parameters
    ----------
    home
        The stack's folder.
    now_ns
        The wall clock.
    """

    home: Path
    now_ns: Callable[[], int] = wall_ns
    _running: dict[str, Process] = field(default_factory=dict, init=False)
    _tried_ns: dict[str, int] = field(default_factory=dict, init=False)

    def look(self) -> None:
        """Start what it is time for; what still runs is not started twice."""
        for task in TASKS:
            self._look(task)

    def _look(self, task: Task) -> None:
        done_ns, now_ns = last_done_ns(self.home, task.kind), self.now_ns()
        if done_ns is None:
            mark_done(self.home, task.kind, now_ns)
            return
        tried_ns = self._tried_ns.get(task.kind, now_ns - RETRY_NS)
        if now_ns - done_ns < task.every_ns or now_ns - tried_ns < RETRY_NS:
            return
        self._tried_ns[task.kind] = now_ns
        running = self._running.get(task.kind)
        if task.is_usable(self.home) and (running is None or not running.alive()):
            self._start(task)

    def _start(self, task: Task) -> None:
        nice = shutil.which("nice")
        command = (
            *((nice, "-n", str(GIVES_WAY_NICE)) if nice is not None else ()),
            *(sys.executable, "-m", "agents"),
            *(*task.words, f"--name={self.home.name}"),
        )
        output = self.home / "logs" / task.output
        output.parent.mkdir(parents=True, exist_ok=True)
        launch = Launch(command, Path.cwd(), output, dict(os.environ), append=True)
        log.info("%s is started, it is time; it says more in %s", " ".join(task.words), output)
        try:
            self._running[task.kind] = start(launch)
        except (StreamError, OSError):
            log.exception("%s could not be started; tried again in an hour", " ".join(task.words))
