"""Plant defects one by one and let the stories of a push look for them.

``python -m tests.simulation.hunt [--json]``: each defect is planted in a process of its own, by
altering the source of one module as it is imported. The stories are those of every push, by the
same seeds, up to as many steps; without a defect they pass.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

# The libraries are loaded once; the product is loaded by each child, with its defect.
import msgspec
import numpy as np  # noqa: F401  for the children
import prometheus_client  # noqa: F401  for the children
import pyarrow.ipc  # noqa: F401  for the children

from tests.simulation.planted import DEFECTS, Defect

N_STEPS, FIRST_SEED = 20_000, 1
_AT_ONCE = 2


class Hunted(NamedTuple):
    """What became of a defect: found by what, after how many steps; empty if not found."""

    name: str
    found_by: str
    steps: int
    about: str


class _Altered(importlib.machinery.SourceFileLoader):
    """Loads a module with a defect in it."""

    def __init__(self, fullname: str, path: str, defect: Defect) -> None:
        super().__init__(fullname, path)
        self._defect = defect

    def get_code(self, fullname: str) -> CodeType:
        """Compile the altered source; a change that no longer fits is an error of the list."""
        source = Path(self.get_filename(fullname)).read_text()
        if source.count(self._defect.before) != 1:
            raise ValueError(f"{self._defect.name}: the source has changed; change the defect")
        altered = source.replace(self._defect.before, self._defect.after)
        return compile(altered, self.get_filename(fullname), "exec")


class _Planter(importlib.abc.MetaPathFinder):
    """Gives one module with its defect, and leaves the others alone."""

    def __init__(self, defect: Defect) -> None:
        self._defect = defect

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module to alter."""
        if fullname != self._defect.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        return importlib.util.spec_from_loader(
            fullname, _Altered(fullname, spec.origin, self._defect)
        )


def hunt(defects: Sequence[Defect] = DEFECTS) -> Iterator[Hunted]:
    """Plant and look, two at a time; results come in the order of the list."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(_in_a_child, defects)


def _in_a_child(defect: Defect) -> Hunted:
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, the child ends here: it must not go on as its parent.
        try:
            os.close(receive)
            with os.fdopen(send, "wb") as pipe:
                pipe.write(msgspec.json.encode(_look(defect)))
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return Hunted(*msgspec.json.decode(said, type=tuple[str, str, int, str]))


def _look(defect: Defect) -> tuple[str, str, int, str]:
    logging.disable(logging.CRITICAL)
    sys.meta_path.insert(0, _Planter(defect))
    try:
        bulk: Any = importlib.import_module("tests.simulation.bulk")
        importlib.import_module(defect.module)
    except Exception as error:  # noqa: BLE001  a defect that stops the import proves nothing
        return defect.name, "", 0, f"it cannot be imported: {error!r}"
    steps, about = bulk.steps_to_a_defect(N_STEPS, FIRST_SEED)
    found_by = about.partition(":")[0] if about else ""
    return defect.name, found_by, steps, about[:300]


def main() -> None:
    """Hunt and print one line a defect, or all as JSON."""
    if "--json" in sys.argv:
        print(json.dumps([one._asdict() for one in hunt()]))  # noqa: T201  a command speaks
        return
    for one in hunt():
        print(f"{one.found_by or 'NOT FOUND':28} {one.steps:6} {one.name}", flush=True)  # noqa: T201  a command speaks


if __name__ == "__main__":
    main()
