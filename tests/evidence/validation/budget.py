"""Write the budget of a close into docs/architecture.md.

``python -m tests.evidence.validation.budget`` plays closes of 200 symbols through a worker whose
processor time is sampled (``tests/evidence/sampler.py``), on the stack's broker. Some two minutes,
more where the models of the measurements are not fitted yet; on a quiet machine.
"""

import asyncio
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.cli.worker import SWITCH_INTERVAL_S
from agents.run.drive import Run, worker_arguments
from agents.run.workers import Children
from streams.brokers.embedded import find_embedded
from tests.evidence import bench
from tests.evidence.chain_latency import SYMBOLS, How, Took, measure_chain
from tests.evidence.measurement import machine, quantile
from tests.evidence.sampler import (
    BROKER,
    BUCKET_NS,
    CHANGELOG,
    INTERVAL_S,
    REST,
    SAMPLER,
    SWITCH_S,
    Used,
)
from tests.evidence.validation.document import reflowed, table

FILE = Path(__file__).parents[3] / "docs" / "architecture.md"
BEGINS = "<!-- Written by `python -m tests.evidence.validation.budget`; do not edit. -->"
ENDS = "<!-- End of what it wrote. -->"

_ROUNDS = 2
# Ticks of the next bar come half a second behind a close.
_AFTER_NS = 480_000_000
_SHOWN_FUNCTIONS = 30

# In the order of the table, with what is counted there.
PARTS = {
    BROKER: "Kafka's process, everything that it does",
    "transport": "the consumer's thread; `streams/transport.py`, Faust's driver, aiokafka",
    "loop": "uvloop, asyncio, Faust, `agents/stage.py`; bursts too short to be seen",
    "encoding": "slices, ticks, decisions as JSON, ids",
    "steps": "bars, features, regime, weights, prediction",
    "decisions": "the book: fills, sizing, controls",
    CHANGELOG: "snapshots, RocksDB",
    REST: "metrics, watchdogs, what belongs to none",
}


class Close(NamedTuple):
    """Processor time of one close in ms by part: until its last decision, and after it."""

    until_ms: Mapping[str, float]
    after_ms: Mapping[str, float]


def closes(used: Used, took: Took) -> list[Close]:
    """Cut what was used into closes.

    Parameters
    ----------
    used
        Of the worker's whole life.
    took
        When its closes were meant to be, and how long each took.
    """
    by_bucket: dict[int, dict[str, float]] = defaultdict(dict)
    for bucket, part, ns in used.buckets:
        by_bucket[bucket][part] = ns / 1e6

    def between(begins_ns: int, ends_ns: int) -> dict[str, float]:
        total: dict[str, float] = defaultdict(float)
        for bucket in range(begins_ns // BUCKET_NS, ends_ns // BUCKET_NS):
            for part, ms in by_bucket.get(bucket, {}).items():
                total[part] += ms
        return total

    found = []
    for meant_ns, last_ms in zip(took.meant_ns, took.last_ms, strict=True):
        done_ns = meant_ns + int(last_ms * 1e6)
        found.append(Close(between(meant_ns, done_ns), between(done_ns, meant_ns + _AFTER_NS)))
    return found


def text(all_: list[Close], last_ms: list[float], here: Mapping[str, object]) -> str:
    """Return the section's table and the sentence below it."""

    def mean(of: Iterable[Mapping[str, float]], part: str) -> float:
        return statistics.fmean(each.get(part, 0.0) for each in of)

    until = {part: mean((each.until_ms for each in all_), part) for part in PARTS}
    after = {part: mean((each.after_ms for each in all_), part) for part in PARTS}
    total = sum(until.values())
    rows = [
        [
            part,
            what,
            f"{until[part]:.1f}",
            f"{100.0 * until[part] / total:.0f} %",
            f"{after[part]:.1f}",
        ]
        for part, what in PARTS.items()
    ]
    rows.append(["all", "", f"{total:.1f}", "100 %", f"{sum(after.values()):.1f}"])
    ordered = sorted(last_ms)
    own_ms = mean((each.until_ms for each in all_), SAMPLER)
    below = f"""\
Mean of n = {len(all_)} closes of {SYMBOLS} symbols, one worker, {here["system"]},
{here["cores"]} cores, Python {here["python"]}, load of the machine {here["load_1min"]} at the end.
The last decision came after P50
{statistics.median(ordered):.1f} ms, P95 {quantile(ordered, 0.95):.1f} ms with the sampler on. It
looks every {INTERVAL_S * 1e3:g} ms and takes {own_ms:.1f} ms itself until then, not counted above;
for it threads take turns every {SWITCH_S * 1e3:g} ms, in place of
{SWITCH_INTERVAL_S * 1e3:g} ms in a worker alone.
Times add up over threads and processes, so they are no latency: the broker works beside the
worker. *After it* ends {_AFTER_NS / 1e6:g} ms behind the close, before the next bar's ticks
come."""
    header = ["Part", "What is counted", "ms until the last decision", "share", "ms after it"]
    return f"{table(header, rows)}\n\n{reflowed(below)}"


def put(document: str, section: str) -> str:
    """Return a document with the section between its two marks.

    Raises
    ------
    ValueError
        If the marks are not there, once each and in order.
    """
    pattern = f"{re.escape(BEGINS)}\n.*?{re.escape(ENDS)}\n"
    found = re.findall(pattern, document, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{FILE.name} has {len(found)} places for the budget; expected one")
    return document.replace(found[0], f"{BEGINS}\n\n{section}\n\n{ENDS}\n")


def measure_round(servers: str, home: Path, broker_pid: int) -> tuple[Used, Took]:
    """Play one round of closes; return what its worker used."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "used.json"

        def start(run: Run, children: Children, web_port: int) -> None:
            arguments = worker_arguments(run, web_port, "0")
            program = (sys.executable, "-m", "tests.evidence.sampler", str(out), str(broker_pid))
            children.start_program("worker-0", *program, *arguments)

        took = asyncio.run(measure_chain(servers, home, SYMBOLS, None, How(start=start)))
        return msgspec.json.decode(out.read_bytes(), type=Used), took


def main() -> None:
    """Measure, say what took most, and write."""
    all_: list[Close] = []
    last_ms: list[float] = []
    functions: dict[str, float] = defaultdict(float)
    with bench.stack() as (servers, home):
        broker = find_embedded(home)
        for _ in range(_ROUNDS):
            used, took = measure_round(servers, home, 0 if broker is None else broker.state.pid)
            all_ += closes(used, took)
            last_ms += took.last_ms
            for part, name, ns in used.functions:
                functions[f"{part:10s} {name}"] += ns / 1e6
    for name, ms in sorted(functions.items(), key=lambda one: -one[1])[:_SHOWN_FUNCTIONS]:
        sys.stdout.write(f"{ms:8.0f} ms  {name}\n")
    section = text(all_, last_ms, machine())
    sys.stdout.write(f"{section}\n")
    FILE.write_text(put(FILE.read_text(), section))


if __name__ == "__main__":
    main()
