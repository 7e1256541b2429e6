"""``tradewind demo`` as a person runs it: to the end, refused, interrupted and killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from models.features.catalogue import WARMUP_BARS
from streams.brokers.waiting import wait_for
from streams.sources.synthetic import SyntheticTape
from streams.timestamps import format_ns

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

# The first half is what `fit` needs; the last bars are shown.
_TAPE = SyntheticTape(symbols=3, bars=1_620, ticks_per_bar=2, seed=3)
_SHOWN_BARS = 40

_DEMO = (sys.executable, "-m", "agents", "demo", "--once")
# Far beyond what it takes (20 to 120 s): a laden machine is no failure.
_RUN_S = 500.0
_END_S = 30.0


@dataclass(frozen=True)
class Stack:
    """A stack of its own: its directory, the file it replays, and what the first run said."""

    home: Path
    file: Path
    first: "subprocess.CompletedProcess[str]"


def options(file: Path) -> list[str]:
    """Return the options that replay a file and show its last bars."""
    shown = format_ns(_TAPE.closes_ns()[-_SHOWN_BARS])
    return [f"--file={file}", "--timeframe=1s", f"--from={shown}"]


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which stacks live under ``home``."""
    return {**os.environ, "TRADEWIND_HOME": str(home), "COLUMNS": "200"}


def run(home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the demo to its end."""
    return subprocess.run(
        [*_DEMO, *options],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_RUN_S,
        check=False,
    )


def left_of(home: Path) -> list[str]:
    """Return the command lines of every process that names the home."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(home) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Run the demo once on a file of trades; later runs of this stack find its models."""
    home = tmp_path_factory.mktemp("stacks")
    file = tmp_path_factory.mktemp("files") / "trades.csv"
    with file.open("w") as out:
        out.write("ts_event_ns,symbol,price,size\n")
        for interval in _TAPE.intervals(0, _TAPE.closes_ns()[-1]):
            ticks = (tick for of_symbol in interval.ticks.values() for tick in of_symbol)
            for tick in sorted(ticks, key=lambda tick: int(tick.ts_event)):
                out.write(f"{tick.ts_event},{tick.symbol},{tick.price},{tick.size}\n")
    return Stack(home, file, run(home, *options(file)))


@contextmanager
def started(stack: Stack, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a demo, wait until its worker runs, and see that the parent is gone at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_DEMO, *options(stack.file)],
            env=environment(stack.home),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        running = wait_for(lambda: "worker started" in log.read_text(), timeout_s=_RUN_S)
        assert running, log.read_text()
        assert len(left_of(stack.home)) >= 2, "expected a broker and a worker"
        yield process
    finally:
        process.kill()
        process.wait()


def test_demo_when_the_file_is_whole_then_verifies_every_decision_and_exits_0(
    stack: Stack,
) -> None:
    """Broker, models, worker, replay and second fold; and nothing runs on afterwards."""
    said = stack.first.stdout
    assert stack.first.returncode == 0, said
    assert "simulated" not in said
    assert "trades.csv" in said
    assert "fitted now" in said
    for expected in ("holds", "yes", "every slot decided", f"{_SHOWN_BARS + WARMUP_BARS} bars"):
        assert expected in said, f"{expected!r} not in:\n{said}"
    counts = re.findall(r"(?:market-bars|-slices|-probabilities|-weights|-events) (\d+)", said)
    assert len(counts) == 5, said
    assert len(set(counts)) == 1, f"every stage sends every slice on: {counts}"
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    names = []
    for text in (said, readme):
        (rows,) = re.findall(r"SQL rows of this run:(.*?)\(PostgreSQL", " ".join(text.split()))
        names.append(re.findall(r"([a-z][a-z_ ]+) (?:\d|\.)", rows))
    assert names[0] == names[1], "the README shows what a demo prints"
    assert not left_of(stack.home)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no,such,columns\n1,2,3\n", "column"),
        ("ts_event_ns,symbol,price,size\n1767571200000000001,SYN,1,1\n", "bars"),
    ],
    ids=["no layout", "too short"],
)
def test_demo_when_the_file_is_of_no_use_then_says_why_and_exits_1(
    tmp_path: Path, text: str, expected: str
) -> None:
    """A person reads one clear message, no traceback, and nothing runs on."""
    file = tmp_path / "bad.csv"
    file.write_text(text)
    ended = run(tmp_path, *options(file))
    assert ended.returncode == 1, ended.stdout
    assert expected in ended.stdout
    assert "Traceback" not in ended.stdout
    assert not left_of(tmp_path / "demo")


def test_demo_when_interrupted_then_leaves_no_process_behind(stack: Stack, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a replay ends the worker and the broker in order."""
    log = tmp_path / "demo.log"
    with started(stack, log) as process:
        process.send_signal(signal.SIGINT)
        process.wait(_END_S)
    assert process.returncode == 130, log.read_text()
    assert "Interrupted" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not left_of(stack.home)


def test_demo_when_killed_then_leaves_no_process_behind(stack: Stack, tmp_path: Path) -> None:
    """SIGKILL of the parent takes the worker and the broker with it; the next run works."""
    with started(stack, tmp_path / "demo.log") as process:
        process.kill()
        process.wait(_END_S)
    assert wait_for(lambda: not left_of(stack.home), timeout_s=_END_S), left_of(stack.home)
