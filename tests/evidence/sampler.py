"""A worker that says on which part of the chain its processor time went.

``python -m tests.evidence.sampler OUT BROKER_PID ARGUMENTS...`` is ``tradewind ARGUMENTS`` with a
thread beside it. Every two milliseconds it reads the processor clock of each thread, and gives what
was used since to the part that the thread's stack is in: bursts that are over before it looks count
for the event loop, which is what it finds then. Nothing is traced. Threads take turns sooner than
in a worker alone: else the sampler would come in where a library lets go of the interpreter's lock,
and would see these places too often. The broker's clock is read beside them.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import msgspec

from agents import cli
from agents.cli import worker
from streams.clock import wall_ns

INTERVAL_S = 0.002
BUCKET_NS = 2_000_000
SWITCH_S = 0.00005

# What a thread has used is left for the next look below this.
_LEAST_NS = 10_000
# Of a process of a hundred threads the clock is dearer to read.
_BROKER_EVERY_NS = 10_000_000
_BROKER_THREAD = 0

BROKER = "broker"
CHANGELOG = "changelog"
REST = "rest"
SAMPLER = "sampler"

_ROOT = Path(__file__).parents[2]
# The first that fits a file, from the innermost frame on, is the part that the frame is in.
RULES: tuple[tuple[str, str], ...] = (
    ("tests/evidence/sampler.py", SAMPLER),
    ("streams/transport.py", "transport"),
    ("streams/consumer_thread.py", "transport"),
    ("streams/topic_metadata.py", "transport"),
    ("faust/transport/", "transport"),
    ("aiokafka/", "transport"),
    ("streams/metrics.py", REST),
    ("prometheus_client/", REST),
    ("agents/loop_watch.py", REST),
    ("agents/watchdog.py", REST),
    ("faust/sensors/", REST),
    ("logging/", REST),
    ("streams/codec.py", CHANGELOG),
    ("tables/stamped.py", CHANGELOG),
    ("tables/recovery.py", CHANGELOG),
    ("faust/tables/", CHANGELOG),
    ("faust/stores/", CHANGELOG),
    ("rocksdict/", CHANGELOG),
    ("streams/slices.py", "encoding"),
    ("streams/ticks.py", "encoding"),
    ("streams/records.py", "encoding"),
    ("streams/ids.py", "encoding"),
    ("streams/timestamps.py", "encoding"),
    ("tables/decisions.py", "encoding"),
    ("models/risk/", "decisions"),
    ("models/portfolio/", "decisions"),
    ("models/execution/", "decisions"),
    ("agents/risk.py", "decisions"),
    ("agents/risk_shown.py", "decisions"),
    ("tables/book.py", "decisions"),
    ("tables/recent.py", "decisions"),
    ("models/", "steps"),
    ("tables/", "steps"),
    ("streams/epochs.py", "steps"),
    ("agents/bars.py", "steps"),
    ("agents/bars_shown.py", "steps"),
    ("agents/features.py", "steps"),
    ("agents/prediction.py", "steps"),
    ("agents/regime.py", "steps"),
    ("agents/signals.py", "steps"),
    ("agents/slice_stage.py", "steps"),
    ("agents/weights.py", "steps"),
    ("agents/stage.py", "loop"),
    ("agents/cli/", "loop"),
    ("asyncio/", "loop"),
    ("concurrent/", "loop"),
    ("faust/", "loop"),
    ("mode/", "loop"),
)
# Functions that are another part than their file.
FUNCTIONS = {("agents/risk.py", "_outputs"): "encoding"}
# Whatever runs below these writes a snapshot.
_PERSISTS = {("agents/stage.py", "_persist"), ("agents/stage.py", "_write_again")}


class Used(NamedTuple):
    """Processor time in ns: by time and part, and by part and function over the whole run."""

    buckets: list[tuple[int, str, int]]
    functions: list[tuple[str, str, int]]


def path_of(file: str) -> str:
    """Return the path of a source below the repository or its packages.

    Examples
    --------
    >>> path_of("/x/site-packages/aiokafka/conn.py")
    'aiokafka/conn.py'
    >>> path_of("/usr/lib/python3.11/asyncio/locks.py")
    'asyncio/locks.py'
    """
    ours = str(_ROOT) + "/"
    if file.startswith(ours) and "/site-packages/" not in file:
        return file.removeprefix(ours)
    after = file.rpartition("/site-packages/")[2]
    return after.rpartition("/python3.11/")[2]


def rule_of(path: str, function: str) -> str | None:
    """Return the part that a frame is in by itself; None if its caller decides.

    Examples
    --------
    >>> rule_of("models/risk/decide.py", "decide"), rule_of("agents/risk.py", "_outputs")
    ('decisions', 'encoding')
    >>> rule_of("numpy/linalg/linalg.py", "norm") is None
    True
    """
    if (path, function) in FUNCTIONS:
        return FUNCTIONS[path, function]
    return next((part for start, part in RULES if path.startswith(start)), None)


class Stacks:
    """Finds the part of a stack; what a code object is was looked up once."""

    def __init__(self) -> None:
        self._known: dict[CodeType, tuple[str | None, str]] = {}

    def part_of(self, frame: FrameType | None) -> tuple[str, str]:
        """Return the part that a stack is in, and the function that decided it."""
        found: tuple[str, str] | None = None
        while frame is not None:
            part, name = self._rule(frame.f_code)
            if part == CHANGELOG and found is not None and name in _PERSISTING:
                return CHANGELOG, found[1]
            if found is None and part is not None:
                found = part, name
            frame = frame.f_back
        return found or (REST, "")

    def _rule(self, code: CodeType) -> tuple[str | None, str]:
        known = self._known.get(code)
        if known is None:
            path, function = path_of(code.co_filename), code.co_name
            is_persisting = (path, function) in _PERSISTS
            part = CHANGELOG if is_persisting else rule_of(path, function)
            known = self._known[code] = part, f"{path}:{function}"
        return known


_PERSISTING = {f"{path}:{function}" for path, function in _PERSISTS}


class Sampler(threading.Thread):
    """Reads the clocks until the process ends.

    Parameters
    ----------
    broker_pid
        The broker's process; 0 to leave it out.
    """

    def __init__(self, broker_pid: int) -> None:
        super().__init__(daemon=True, name="sampler")
        self._broker_pid = broker_pid
        self._stacks = Stacks()
        self._buckets: Counter[tuple[int, str]] = Counter()
        self._functions: Counter[tuple[str, str]] = Counter()
        self._clocks: dict[int, tuple[int, int]] = {}
        self._main = threading.main_thread().ident
        # Linux: the clock of another process is its pid, inverted, over three bits of its kind.
        self._broker_clock = (~broker_pid << 3) | 2
        self._broker_due_ns = 0

    def run(self) -> None:
        """Sample."""
        while True:
            time.sleep(INTERVAL_S)
            self._sample()

    def used(self) -> Used:
        """Return what was found so far."""
        buckets, functions = dict(self._buckets), dict(self._functions)
        return Used(
            [(bucket, part, ns) for (bucket, part), ns in buckets.items()],
            [(part, name, ns) for (part, name), ns in functions.items()],
        )

    def _sample(self) -> None:
        now_ns = wall_ns()
        bucket = now_ns // BUCKET_NS
        frames = sys._current_frames()
        for thread, frame in frames.items():
            ns = self._used_by(thread)
            if ns < _LEAST_NS:
                continue
            part, name = self._stacks.part_of(frame)
            if part == "loop" and thread != self._main:
                part = "transport"  # the loop of the consumer's thread does nothing else
            self._buckets[bucket, part] += ns
            self._functions[part, name] += ns
        for gone in self._clocks.keys() - frames.keys() - {_BROKER_THREAD}:
            del self._clocks[gone]
        if self._broker_pid and now_ns >= self._broker_due_ns:
            self._broker_due_ns = now_ns + _BROKER_EVERY_NS
            self._buckets[bucket, BROKER] += self._used_by(_BROKER_THREAD)

    def _used_by(self, thread: int) -> int:
        known = self._clocks.get(thread)
        if known is None:
            clock = self._broker_clock if thread == _BROKER_THREAD else _clock_of(thread)
            self._clocks[thread] = clock, time.clock_gettime_ns(clock)
            return 0
        clock, before = known
        now = time.clock_gettime_ns(clock)
        if now - before >= _LEAST_NS:
            self._clocks[thread] = clock, now
        return now - before


def _clock_of(thread: int) -> int:
    return time.pthread_getcpuclockid(thread)


def main(out: str, broker_pid: str, *arguments: str) -> None:
    """Be the worker, and write at its end what was used."""
    worker.SWITCH_INTERVAL_S = SWITCH_S
    sampler = Sampler(int(broker_pid))
    sampler.start()
    sys.argv = ["tradewind", *arguments]
    try:
        cli.main()
    finally:
        Path(out).write_bytes(msgspec.json.encode(sampler.used()))


if __name__ == "__main__":
    main(*sys.argv[1:])
