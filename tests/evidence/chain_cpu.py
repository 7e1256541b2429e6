"""``chain-cpu``: processor time of a close in the worker, and the time of each stage's fold.

The worker's clock counts all that it does in the second of a close: ticks, idle fetches, snapshots.
A stage's time is that of its folds on the wall, of the closes that are timed and their ticks: a
fold waits for nothing but the interpreter's lock and the processor. The peer passes the same bytes
through as many hops as the mission's chain has, and computes nothing.
"""

import asyncio
import re
import statistics
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import psutil

from agents.run.drive import Run, start_worker
from agents.run.workers import Children
from streams.clock import wall_ns
from tests.evidence import bench
from tests.evidence.chain_latency import (
    CLOSES,
    SYMBOLS,
    How,
    measure_chain,
    measure_peer,
)
from tests.evidence.measurement import Measurement, Result

_ROUNDS = 3
_LOOK_S = 0.02
_NS = 1_000_000_000
_FOLDED = re.compile(r'tradewind_stage_step_seconds_sum\{stage="(\w+)"\} ([0-9.e+-]+)')
STAGES = ("bars", "signals", "features", "regime", "weights", "prediction", "risk")


class Clock(NamedTuple):
    """The processor clock of a process, read again and again."""

    read: list[tuple[int, float]]

    def used_ms(self, begins_ns: int, ends_ns: int) -> float:
        """Return what was used between two wall times."""
        used = [cpu_s for at_ns, cpu_s in self.read if begins_ns <= at_ns <= ends_ns]
        return 1e3 * (used[-1] - used[0])


@contextmanager
def watched(word: str) -> Iterator[Clock]:
    """Read the clock of the child process with ``word`` among its arguments."""
    clock, is_over = Clock([]), threading.Event()

    def look() -> None:
        found: psutil.Process | None = None
        while not is_over.wait(_LOOK_S):
            try:
                found = found or _child(word)
                if found is not None:
                    clock.read.append((wall_ns(), sum(found.cpu_times()[:2])))
            except psutil.Error:
                found = None

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield clock
    finally:
        is_over.set()
        thread.join()


def _child(word: str) -> psutil.Process | None:
    children = psutil.Process().children()
    return next((child for child in children if word in child.cmdline()), None)


def _folded_s(port: int) -> dict[str, float]:
    """Return the seconds of each stage's folds since the worker's start."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = _FOLDED.findall(answer.read().decode())
    return {stage: float(seconds) for stage, seconds in found}


class Round(NamedTuple):
    """Milliseconds of a close: of the worker, of each stage's folds, and of the peer."""

    worker: float
    stages: dict[str, float]
    bare: float
    n_closes: int


def measure_round(servers: str, home: Path) -> Round:
    """Play closes through the chain, then through the bare loop."""
    folded: dict[str, float] = {}
    pages: list[int] = []

    def start(run: Run, children: Children, web_port: int) -> None:
        pages.append(web_port)
        start_worker(run, children, web_port)

    @asynccontextmanager
    async def reading(_run: Run, _children: Children) -> AsyncIterator[None]:
        before = await asyncio.to_thread(_folded_s, pages[0])
        yield
        after = await asyncio.to_thread(_folded_s, pages[0])
        folded.update((stage, after[stage] - before.get(stage, 0.0)) for stage in after)

    capture = home / "payloads.msgpack"
    with watched("worker") as clock:
        how = How(start=start, timed=reading)
        took = asyncio.run(measure_chain(servers, home, SYMBOLS, capture, how))
    begins_ns, ends_ns = took.meant_ns[0], took.meant_ns[-1]
    worker_ms = clock.used_ms(begins_ns, ends_ns) / (len(took.meant_ns) - 1)
    with watched("bare") as peer:
        asyncio.run(measure_peer(servers, home, "bare", SYMBOLS, capture, CLOSES))
        ended_ns = wall_ns()
    # Its closes are a second apart too; it ends right behind the last one.
    seconds = CLOSES - 5
    bare_ms = peer.used_ms(ended_ns - (seconds + 1) * _NS, ended_ns - _NS) / seconds
    stages = {stage: 1e3 * folded.get(stage, 0.0) / CLOSES for stage in STAGES}
    return Round(worker_ms, stages, bare_ms, len(took.meant_ns) - 1)


def measure() -> Result:
    """Take turns."""
    with bench.stack() as (servers, home):
        rounds = [measure_round(servers, home) for _ in range(_ROUNDS)]
    stages = {
        stage: statistics.median(each.stages[stage] for each in rounds) / bench.N_PARTITIONS
        for stage in STAGES
    }
    worst = max(each.worker / each.bare for each in rounds)
    return Result(
        round(statistics.median(each.worker for each in rounds), 1),
        holds=True,
        n=sum(each.n_closes for each in rounds),
        parts={
            "worker_ms_by_round": [round(each.worker, 1) for each in rounds],
            "bare_ms_by_round": [round(each.bare, 1) for each in rounds],
            "fold_wall_ms_per_slice_and_stage": {
                stage: round(ms, 2) for stage, ms in stages.items()
            },
            "slices_per_close": bench.N_PARTITIONS,
            "symbols": SYMBOLS,
        },
        peer="bare aiokafka loop of six hops",
        ratio=round(worst, 2),
    )


CHAIN_CPU = Measurement(
    "chain-cpu",
    "ms of processor a second with a close of 200 symbols in the worker",
    "beside the bare loop",
    6,
    measure,
)
