"""``replay-identity``: a recorded run again, every way there is; the value is those that differ.

One run of two partitions is recorded with people speaking to its book, one without. The first is
replayed through workers with other numbers of partitions and workers, killed in the middle, and
folded in one process from its ticks and from its bars, in other time zones, languages, orders of
hashing and numbers of BLAS threads; and from its middle on, with its book as it stood there, folded
from a checkpoint or from the first record. The second is folded in one process from its tape.
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

from agents.run.checkpoint import make
from agents.run.decided import identity_of
from agents.run.drive import Run
from agents.run.in_process import Books, InProcess, play
from agents.run.recorded_range import recorded_from
from agents.run.terms import Changes
from agents.run.topic_backtest import TopicBacktest
from agents.run.topic_replay import TopicReplay
from agents.topology import prefix_of
from streams.brokers.embedded import open_embedded
from streams.clock import run_stamp
from streams.sources.replay import Stretch
from streams.timestamps import format_ns
from streams.topics import MARKET_BARS, MARKET_TICKS
from tables.backtest import Recorder
from tables.epochs import Epochs
from tables.machine import machine
from tables.stores.artifacts import Artifacts
from tables.stores.run_checkpoints import RunCheckpoints
from tests.evidence.measurement import Measurement, Result
from tests.runs import TAPE, Trial, epoch, fit, people, trial

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
# (workers, workers killed, from a checkpoint)
FROM_THE_MIDDLE = ((1, 0, True), (2, 1, True), (2, 0, False))
SURROUNDINGS = {
    "TZ=Asia/Tokyo LC_ALL=de_DE.UTF-8": {"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8"},
    "PYTHONHASHSEED=1": {"PYTHONHASHSEED": "1"},
    "2 BLAS threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
}
SPOKEN, PLAIN = "spoken", "plain"
# A checkpoint is taken before people speak, and the middle is between the two times that they do.
_KEPT_AT, _MIDDLE, _KILLED_AT = 260, 268, 275


async def record(servers: str, home: Path, models: str) -> dict[str, str]:
    """Record both runs; return the hash of each as anybody can read it."""

    async def keep(_run: Trial) -> None:
        await asyncio.to_thread(make, home, servers, SPOKEN)

    async with trial(servers, home, models, SPOKEN) as run:
        run.start()
        await run.feed({_KEPT_AT: keep, 265: people("reduce"), 285: people("resume")})
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
    return _replayed(source, n_workers, n_killed, restarted)


def from_the_middle(
    servers: str, home: Path, how: tuple[int, int, bool], restarted: list[int]
) -> tuple[str, str]:
    """Replay the run from its middle on; return what it decided there, and the hash."""
    n_workers, n_killed, is_kept = how
    kept = RunCheckpoints(home, SPOKEN)
    if not is_kept:
        for close_ns in kept.closes_ns():
            kept.drop(close_ns)
    asked = format_ns(TAPE.closes_ns()[_MIDDLE]), None
    source = recorded_from(home, servers, SPOKEN, asked, Changes())
    if (source.begin is not None) is not is_kept:
        raise RuntimeError(f"begun from {source.begin}; expected a checkpoint: {is_kept}")
    there = asyncio.run(identity_of(servers, prefix_of(SPOKEN), after_ns=source.after_ns))
    return there.total(), _replayed(source, n_workers, n_killed, restarted)


def _replayed(source: TopicBacktest, n_workers: int, n_killed: int, restarted: list[int]) -> str:
    document = source.epochs.load(source.digests[source.range.digests[0]]).epoch
    run = Run(f"replay-{run_stamp()}", source.servers, source.home, document)

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
    """Yield each way with the hash of the run that it repeats and the one that it gives."""
    live = asyncio.run(record(servers, home, models))
    for n_workers, n_killed, is_kept in FROM_THE_MIDDLE:
        begin = "a checkpoint" if is_kept else "the first record"
        name = f"from the middle by {begin}, {n_workers} workers, {n_killed} killed"
        there, here = from_the_middle(servers, home, (n_workers, n_killed, is_kept), restarted)
        yield name, there, here
    for how in THROUGH_WORKERS:
        n_partitions, n_workers, n_killed = how
        name = f"{n_partitions} partitions, {n_workers} workers, {n_killed} killed"
        yield name, live[SPOKEN], through_workers(servers, home, how, restarted)
    for topic in (MARKET_TICKS.name, MARKET_BARS.name):
        yield f"in process from {topic}", live[SPOKEN], from_topic(servers, home, topic)
    for name, surroundings in SURROUNDINGS.items():
        yield f"in process, {name}", live[SPOKEN], elsewhere(servers, home, surroundings)
    for n_partitions in IN_PROCESS_PARTITIONS:
        name = f"in process from the tape, {n_partitions} partitions"
        yield name, live[PLAIN], from_tape(home, models, n_partitions)


def measure() -> Result:
    """Record, repeat, compare."""
    differing: list[str] = []
    restarted: list[int] = []
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        models = fit(home)
        broker = open_embedded(Path(folder) / "broker", port=None, detach=False)
        try:
            ways = combinations(broker.bootstrap_servers, home, models, restarted)
            for name, there, here in ways:
                found[name] = "equal" if there == here else f"{here} beside {there}"
                if there != here:
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
