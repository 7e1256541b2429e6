"""``mlflow-migrate``: a store of MLflow's own client moved to PostgreSQL, and every row compared.

The source has many metrics, texts of any alphabet, NaN and infinities, deleted runs and
experiments, models with aliases, datasets and traces. The migration is killed four times on its
way, goes on each time, and the way back gives the same store again.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from agents.run.stores import database
from agents.run.workers import Children
from tables.stores.servers.mlflow import database_uri
from tables.stores.tracking import sqlite_file
from tables.stores.tracking.export import export
from tables.stores.tracking.migration import Migration
from tables.stores.tracking.report import Report
from tests import mlflow_worlds
from tests.evidence.measurement import Measurement, Result

RUNS, STEPS = 40, 1_000
KILLED_AT = ("check rows", "move rows", "move rows", "compare")

_NAME = "wt-ml-migrate"
_ROOT = Path(__file__).parents[2]
# Dies at the n-th word about a step, by SIGKILL.
_KILLED = """
import os, signal, sys
from pathlib import Path
from tables.stores.tracking.migration import Migration

source, uri, folder, step, after = sys.argv[1:]
left = int(after)

def tell(name, share):
    global left
    left -= name == step
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

Migration(Path(source), uri, Path(folder), tell).run()
"""


def measure() -> Result:
    """Fill, kill, move, compare, and go back."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / _NAME
        children = Children(home / "logs", {"TRADEWIND_HOME": folder})
        try:
            postgres = database(home, children)
            if postgres is None:
                raise RuntimeError("no PostgreSQL: `make setup` installs the embedded one")
            return _measured(Path(folder), database_uri(postgres))
        finally:
            children.stop()


def _measured(folder: Path, uri: str) -> Result:
    source, back = folder / "mlflow.db", folder / "back.db"
    mlflow_worlds.fill(mlflow_worlds.client_of(source), folder, RUNS, STEPS)
    before, counted = source.read_bytes(), sqlite_file.counts(source)
    killed = [_kill(source, uri, folder, step, 2 * at) for at, step in enumerate(KILLED_AT)]
    begun = perf_counter()
    report = Migration(source, uri, folder / "moving", _silent).run()
    moved_s = perf_counter() - begun
    exported = export(uri, back, _silent)
    equal = [each.name for each in report.tables if each.source == each.target]
    counts_equal = all(counted[each.name] == each.source.rows for each in report.tables)
    again = {e.name: e.target for e in exported.tables} == {e.name: e.target for e in report.tables}
    return Result(
        value=float(len(report.tables) - len(equal)),
        holds=len(equal) == len(report.tables)
        and counts_equal
        and again
        and killed == [-signal.SIGKILL] * len(KILLED_AT)
        and report.resumed
        and source.read_bytes() == before,
        n=report.rows,
        parts={
            "tables": len(report.tables),
            "tables_with_rows": sum(each.source.rows > 0 for each in report.tables),
            "rows_by_table": _rows(report),
            "counted_by_sqlite_itself_equal": counts_equal,
            "killed_and_resumed": len(killed),
            "way_back_equal": again,
            "source_bytes": len(before),
            "source_untouched": source.read_bytes() == before,
            "sequences_set": report.sequences,
            "last_stretch_s": round(moved_s, 1),
            "revision": report.revision,
        },
    )


def _kill(source: Path, uri: str, folder: Path, step: str, after: int) -> int:
    """Begin or go on, and die at a step; return the exit status."""
    arguments = (str(source), uri, str(folder / "moving"), step, str(after))
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], env=environment, check=False)
    return done.returncode


def _rows(report: Report) -> dict[str, int]:
    return {each.name: each.source.rows for each in report.tables if each.source.rows}


def _silent(_step: str, _share: float) -> Any:  # noqa: ANN401  nothing
    return None


MLFLOW_MIGRATE = Measurement(
    "mlflow-migrate",
    "tables that differ in rows or checksum between SQLite and PostgreSQL",
    "0; killed on the way it goes on, the file is untouched, and the way back is the same store",
    4,
    measure,
)
