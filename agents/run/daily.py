"""What a live stack does once a day: the runs that nothing keeps leave MLflow."""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from streams.brokers.processes import Launch, Process, start
from streams.clock import wall_ns
from streams.errors import StreamError
from tables.stores.servers import mlflow

log = logging.getLogger("tradewind.keeper")

DAY_NS = 86_400 * 10**9
STAMP = "mlflow-retention.day"


@dataclass
class Daily:
    """Starts ``tradewind mlflow retain`` when a day is over since it last did.

    The time is in the stack's folder, so a restart of the stack or its keeper neither skips a day
    nor repeats one. A stack that is new waits a day.

    Parameters
    ----------
    home
        The stack's folder.
    now_ns
        The wall clock.
    """

    home: Path
    now_ns: Callable[[], int] = wall_ns
    _running: Process | None = field(default=None, init=False)

    def look(self) -> None:
        """Start it if it is time; one that still runs is not started twice."""
        stamp, now_ns = self.home / STAMP, self.now_ns()
        known = stamp.read_text() if stamp.exists() else ""
        if known.isdigit() and now_ns - int(known) < DAY_NS:
            return
        if self._running is not None and self._running.alive():
            return
        draft = stamp.with_suffix(".draft")
        draft.write_text(str(now_ns))
        draft.replace(stamp)
        if known.isdigit() and mlflow.is_usable(self.home):
            self._start()

    def _start(self) -> None:
        command = (
            *(sys.executable, "-m", "agents"),
            *("mlflow", "retain", f"--name={self.home.name}"),
        )
        output = self.home / "logs" / "retention.log"
        output.parent.mkdir(parents=True, exist_ok=True)
        launch = Launch(command, Path.cwd(), output, dict(os.environ), append=True)
        try:
            self._running = start(launch)
        except (StreamError, OSError):
            log.exception("the daily retention could not be started; it is tried again tomorrow")
