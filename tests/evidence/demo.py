"""``demo-start`` and ``demo-memory``: what a user of ``make demo`` waits for and pays."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import psutil

from streams.clock import monotonic_s
from tests.evidence.measurement import Measurement, Result

START_TARGET_S = 60.0
WHOLE_TARGET_S = 180.0
MEMORY_TARGET_MB = 3 * 1024.0

_FIRST = re.compile(r"First decision\s+([\d.]+)\s+s")


class Seen(NamedTuple):
    """One demo: seconds to the first decision and in all, peak memory, and its verdict."""

    first_s: float
    whole_s: float
    peak_mb: float
    held: bool


def _demo(home: str) -> Seen:
    environment = {**os.environ, "TRADEWIND_HOME": home, "COLUMNS": "200"}
    command = [sys.executable, "-m", "agents", "demo", "--once"]
    log = Path(home) / "demo.log"
    started, peak_mb = monotonic_s(), 0.0
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        while process.poll() is None:
            peak_mb = max(peak_mb, _family_mb(process.pid))
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    whole_s = monotonic_s() - started
    first = _FIRST.search(log.read_text())
    first_s = float(first[1]) if first else float("inf")
    return Seen(first_s, whole_s, peak_mb, process.returncode == 0)


def _family_mb(pid: int) -> float:
    total = 0
    try:
        me = psutil.Process(pid)
        family = [me, *me.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


def _cold_and_warm() -> tuple[Seen, Seen]:
    """Run the demo in a new home, then again with its models kept."""
    with tempfile.TemporaryDirectory(prefix="tradewind-evidence-") as home:
        return _demo(home), _demo(home)


def measure_start() -> Result:
    """Measure the wait for the first decision, and for the end."""
    cold, warm = _cold_and_warm()
    is_quick = warm.first_s <= START_TARGET_S and max(cold.whole_s, warm.whole_s) <= WHOLE_TARGET_S
    return Result(
        value=round(warm.first_s, 1),
        holds=is_quick and cold.held and warm.held,
        n=2,
        parts={
            "warm_whole_s": round(warm.whole_s, 1),
            "cold_first_s": round(cold.first_s, 1),
            "cold_whole_s": round(cold.whole_s, 1),
            "verified": cold.held and warm.held,
        },
    )


def measure_memory() -> Result:
    """Measure the peak of all processes together, cold and warm."""
    cold, warm = _cold_and_warm()
    peak_mb = max(cold.peak_mb, warm.peak_mb)
    return Result(
        value=round(peak_mb),
        holds=peak_mb <= MEMORY_TARGET_MB and cold.held and warm.held,
        n=2,
        parts={"cold_mb": round(cold.peak_mb), "warm_mb": round(warm.peak_mb)},
    )


DEMO_START = Measurement(
    "demo-start",
    "s from the command to the first decision, warm",
    f"<= {START_TARGET_S:g} s; whole demo <= {WHOLE_TARGET_S:g} s, cold too",
    3,
    measure_start,
)
DEMO_MEMORY = Measurement(
    "demo-memory",
    "MB, peak of all processes (proportional set size)",
    f"<= {MEMORY_TARGET_MB:g} MB",
    3,
    measure_memory,
)
