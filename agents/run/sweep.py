"""Several configurations of one backtest, each in a process of its own, one a core at a time."""

import os
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from agents.run.progress import Progress
from agents.run.terms import limit_of, limits_of
from agents.run.workers import Children
from streams.errors import SettingsError, WorkerFailedError

_POLL_S = 0.2

# Every configuration is a process and a folder: more is a mistake in a list.
MOST_CONFIGURATIONS = 200


class Configuration(NamedTuple):
    """One of a sweep: its folder's name, and its limits as they were written."""

    name: str
    limits: dict[str, str]

    def arguments(self) -> list[str]:
        """Return the options that ask for it."""
        return [f"--set=risk.{key}={value}" for key, value in self.limits.items()]


class Sweep(NamedTuple):
    """What is compared, and the folder of it."""

    configurations: tuple[Configuration, ...]
    folder: Path

    @classmethod
    def of(cls, texts: Iterable[str], folder: Path) -> "Sweep":
        """Return all combinations of the values that the texts give.

        Raises
        ------
        SettingsError
            If a text names no limit, a value is none of it, or there are too many combinations.
        """
        axes = dict(limit_of(text) for text in texts)
        found = []
        for values in product(*axes.values()):
            limits = dict(zip(axes, values, strict=True))
            limits_of(limits)
            name = "_".join(f"{key}-{value}" for key, value in limits.items())
            found.append(Configuration(name, limits))
        if len(found) > MOST_CONFIGURATIONS:
            raise SettingsError(
                f"--sweep asks for {len(found)} configurations; expected at most "
                f"{MOST_CONFIGURATIONS}"
            )
        return cls(tuple(found), folder)

    def run(self, arguments: list[str], progress: Progress) -> None:
        """Run all; ``arguments`` are those that all have.

        Raises
        ------
        WorkerFailedError
            If one failed, with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        children = Children(self.folder / "logs")
        waiting, n_done = list(self.configurations), 0
        try:
            while waiting or children.running:
                while waiting and len(children.running) < len(os.sched_getaffinity(0)):
                    each = waiting.pop(0)
                    own = [*each.arguments(), f"--out={self.folder / each.name}"]
                    children.start(each.name, "backtest", *arguments, *own)
                for name in [n for n, child in children.running.items() if not child.alive()]:
                    del children.running[name]
                    self._check(name, children)
                    n_done += 1
                    progress("configurations", n_done / len(self.configurations))
                time.sleep(_POLL_S)
        finally:
            children.stop()

    def _check(self, name: str, children: Children) -> None:
        if not (self.folder / name / "summary.json").exists():
            log = children.log_of(name)
            raise WorkerFailedError(
                f"configuration {name} failed; its log is {log}:\n"
                f"{log.read_text(errors='replace').strip()[-2_000:]}"
            )
