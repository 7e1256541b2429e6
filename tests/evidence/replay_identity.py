"""``replay-identity``: a recorded run again, every way there is; the value is those that differ.

One run of two partitions is recorded with people speaking to its book, one without. The first is
replayed through workers with other numbers of partitions and workers, killed in the middle, and
folded in one process from its ticks and from its bars, in other time zones, languages, orders of
hashing and numbers of BLAS threads. The second is folded in one process from its tape.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agents.run.decided import identity_of
from agents.run.drive import Run
from agents.run.fit import models_for
from agents.run.in_process import Books, InProcess, play
from agents.run.terms import Changes
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_replay import TopicReplay
from agents.topology import prefix_of
from streams.brokers.embedded import open_embedded
from streams.sources.replay import Stretch
from streams.topics import MARKET_BARS, MARKET_TICKS
from tables.backtest import Recorder
from tables.epochs import Epochs
from tables.machine import machine
from tables.stores.artifacts import Artifacts
from tests.evidence.measurement import Measurement, Result
from tests.runs import FIT_TAPE, TAPE, epoch, people, trial

# (partitions, workers, workers killed with signal 9 in the middle)
THROUGH_WORKERS = (
    (1, 1, 0),
    (1, 2, 1),
    (4, 1, 1),
    (4, 2, 0),
    (4, 2, 2),
    (8, 2, 0),
    (8, 4, 1),
)
IN_PROCESS_PARTITIONS = (1, 4, 8)
SURROUNDINGS = {
    "TZ=Asia/Tokyo LC_ALL=de_DE.UTF-8": {"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8"},
    "PYTHONHASHSEED=1": {"PYTHONHASHSEED": "1"},
    "2 BLAS threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
}
SPOKEN, PLAIN = "spoken", "plain"
_KILLED_AT = 275


async def record(servers: str, home: Path, models: str) -> dict[str, str]:
    """Record both runs; return the hash of each as anybody can read it."""
    async with trial(servers, home, models, SPOKEN) as run:
        run.start()
        await run.feed({265: people("reduce"), 280: people("resume")})
    async with trial(servers, home, models, PLAIN) as run:
        run.start()
        await run.feed()
    return {name: (await identity_of(servers, prefix_of(name))).total() for name in (SPOKEN, PLAIN)}


def through_workers(
    servers: str, home: Path, how: tuple[int, int, int], restarted: list[int]
) -> str:
    """Replay the run with people in it and return the hash; note how many workers ended."""
    n_partitions, n_workers, n_killed = how
    changes = Changes(n_partitions=n_partitions)
    source = TopicBacktest(home, servers, SPOKEN, MARKET_TICKS.name, (None, None), changes)
    source.check()
    document = source.epochs.load(source.digests[source.range.digests[0]]).epoch
    run = Run("replay-" + "-".join(map(str, how)), servers, home, document)

    async def before(close_ns: int) -> None:
        if close_ns == TAPE.closes_ns()[_KILLED_AT]:
            for instance in map(str, range(n_killed)):
                process = playing.children.running.pop(f"worker-{instance}")
                os.kill(process.pid, signal.SIGKILL)
                playing.start(instance)

    playing = TopicReplay(source, run, n_workers, before=before)

    async def replayed() -> str:
        try:
            return (await playing.play(1)).total()
        finally:
            await playing.remove()
            restarted.append(playing.n_restarts)

    return asyncio.run(replayed())


def from_topic(servers: str, home: Path, topic: str) -> str:
    """Fold the recorded run in this process and return the hash."""
    test = TopicBacktest(home, servers, SPOKEN, topic, (None, None))
    test.check()
    recorder = Recorder(lambda _ts_ns, _decisions: None)
    asyncio.run(test.fold(recorder.take))
    return recorder.identity.total()


def from_tape(home: Path, models: str, n_partitions: int) -> str:
    """Fold the tape in this process and return the hash."""
    epochs = Epochs(Artifacts(home / "artifacts"))
    document = msgspec.structs.replace(epoch(models), n_partitions=n_partitions)
    loaded = epochs.load(epochs.put(document))
    books = Books(epochs, n_partitions)
    chain = InProcess(epochs, n_partitions, books.take)
    recorder = Recorder(lambda _ts_ns, _decisions: None)
    closes = TAPE.closes_ns()
    for said in play(chain, loaded, TAPE, Stretch(closes[0], closes[-1])):
        recorder.take(said)
    return recorder.identity.total()


def elsewhere(servers: str, home: Path, surroundings: dict[str, str]) -> str:
    """Fold the recorded run in a process with other surroundings."""
    command = [sys.executable, "-m", "tests.evidence.replay_identity", servers, str(home)]
    environment = {**os.environ, **surroundings}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]


def combinations(
    servers: str, home: Path, models: str, restarted: list[int]
) -> Iterator[tuple[str, str, str]]:
    """Yield each way with the run that it repeats and the hash that it gives."""
    for how in THROUGH_WORKERS:
        n_partitions, n_workers, n_killed = how
        name = f"{n_partitions} partitions, {n_workers} workers, {n_killed} killed"
        yield name, SPOKEN, through_workers(servers, home, how, restarted)
    for topic in (MARKET_TICKS.name, MARKET_BARS.name):
        yield f"in process from {topic}", SPOKEN, from_topic(servers, home, topic)
    for name, surroundings in SURROUNDINGS.items():
        yield f"in process, {name}", SPOKEN, elsewhere(servers, home, surroundings)
    for n_partitions in IN_PROCESS_PARTITIONS:
        name = f"in process from the tape, {n_partitions} partitions"
        yield name, PLAIN, from_tape(home, models, n_partitions)


def measure() -> Result:
    """Record, repeat, compare."""
    differing: list[str] = []
    restarted: list[int] = []
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        closes = FIT_TAPE.closes_ns()
        store = Artifacts(home / "artifacts")
        stretch = Stretch(closes[0], closes[-1])
        models = models_for(FIT_TAPE, stretch, store, lambda *_: None)[0]
        broker = open_embedded(Path(folder) / "broker", port=None, detach=False)
        try:
            live = asyncio.run(record(broker.bootstrap_servers, home, models))
            ways = combinations(broker.bootstrap_servers, home, models, restarted)
            for name, run, total in ways:
                found[name] = "equal" if total == live[run] else f"{total} beside {live[run]}"
                if total != live[run]:
                    differing.append(name)
        finally:
            broker.stop()
    n_decisions = len(TAPE.symbols) * len(TAPE.closes_ns())
    parts = {
        "differing": differing,
        "decisions_each": n_decisions,
        "ended_by_themselves": sum(restarted),
        **found,
        "machine": machine(),
    }
    return Result(len(differing), not differing, len(found), parts, "the run that was recorded")


REPLAY_IDENTITY = Measurement(
    "replay-identity",
    "ways of replaying a recorded run that decide another byte",
    "0 of at least 10",
    10,
    measure,
)

if __name__ == "__main__":
    sys.stdout.write(from_topic(sys.argv[1], Path(sys.argv[2]), MARKET_TICKS.name))
