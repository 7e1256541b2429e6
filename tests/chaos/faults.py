"""What is done to a run in the middle of its tape, and what must be so all the same."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from streams import topics
from streams.brokers.embedded import EmbeddedBroker, open_embedded
from streams.clock import monotonic_s
from streams.epochs import Portfolio
from streams.failpoints import VARIABLE
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from tests.runs import PATIENCE_S, TAPE, Outcome, Trial

# Stages that a paper run goes through, in flow order.
STAGES = ("bars", "features", "regime", "weights", "prediction", "risk")

AWAY_S = 60.0
_POLL_S = 0.02


@dataclass
class Place:
    """Where runs are struck: models, what a run says undisturbed, and the broker to stop.

    ``brokers`` are those that were started, the newest last; empty where the broker is not ours.
    """

    servers: str
    home: Path
    models: str
    undisturbed: Outcome
    tape: SyntheticTape = TAPE
    brokers: list[EmbeddedBroker] = field(default_factory=list)


@dataclass
class Struck:
    """A run under faults: what they draw from, and what was noted about them.

    ``recoveries_s`` are from a strike to the first decision after it.
    """

    trial: Trial
    draw: random.Random
    place: Place
    n_strikes: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    watching: list[asyncio.Task[None]] = field(default_factory=list)
    keeping: list[asyncio.Task[None]] = field(default_factory=list)

    def watch_recovery(self, since_s: float, n_before: int) -> None:
        """Note when the next decision comes, while the tape goes on."""
        self.watching.append(asyncio.create_task(self._recovered(since_s, n_before)))

    def keep(self, instance: str) -> None:
        """Start a worker again whenever it ends by itself, until the run is over."""
        self.keeping.append(asyncio.create_task(self._kept(instance)))

    async def _kept(self, instance: str) -> None:
        while True:
            process = self.trial.children.running.get(f"worker-{instance}")
            if process is not None and not process.alive():
                self.trial.start(instance)
            await asyncio.sleep(_POLL_S)

    async def decided(self) -> int:
        """Return how many decisions the run has said."""
        return await self.trial.ends(self.trial.run.prefix + topics.TRADING_DECISIONS.name)

    async def _recovered(self, since_s: float, n_before: int) -> None:
        while await self.decided() == n_before:
            if monotonic_s() - since_s > PATIENCE_S:
                self.violations.append(f"no decision within {PATIENCE_S:g} s of a strike")
                return
            await asyncio.sleep(_POLL_S)
        self.recoveries_s.append(monotonic_s() - since_s)


Strike = Callable[[Struck], Awaitable[None]]


class How(NamedTuple):
    """How a run is played and judged beside the judge's own promises.

    Attributes
    ----------
    equal
        Every byte must be that of the undisturbed run. Not where the input differs.
    rows
        The archive and its database run along, and the rows of SQL are compared.
    portfolios
        Books of its own.
    tape
        Input of its own.
    clean
        Nothing bad is sent, so there must be no dead letter.
    least
        How much of a promise the judge must have checked, as its ``--least`` takes it.
    """

    equal: bool = True
    rows: bool = False
    portfolios: tuple[Portfolio, ...] = ()
    tape: Tape | None = None
    clean: bool = True
    least: tuple[str, ...] = ()


class Fault(NamedTuple):
    """A kind of fault: its promise, one strike of it, and how many a run can take.

    The name is part of the run's, and so of its topics'.
    """

    name: str
    promise: str
    strike: Strike
    per_run: int
    how: How = How()


async def kill(struck: Struck) -> None:
    """Kill the worker at a random moment of what it does, and start it again."""
    await asyncio.sleep(struck.draw.uniform(0.0, 0.3))
    since_s = monotonic_s()
    await struck.trial.end(signal.SIGKILL)
    n_before = await struck.decided()
    struck.trial.start()
    struck.watch_recovery(since_s, n_before)


async def join_or_leave(struck: Struck) -> None:
    """Let a second worker come, or end in order, or be killed."""
    trial = struck.trial
    if "worker-1" not in trial.children.running:
        trial.start("1")
    else:
        await trial.end(struck.draw.choice((signal.SIGTERM, signal.SIGKILL)), "1")
    await asyncio.sleep(struck.draw.uniform(0.5, 3.0))


async def outage(struck: Struck, away_s: float = AWAY_S) -> None:
    """Stop or kill the broker, and start it again on its data after a while."""
    brokers = struck.place.brokers
    broker = brokers[-1]
    if struck.draw.random() < 0.5:
        os.kill(broker.state.pid, signal.SIGKILL)
        await struck.trial.until(lambda: not broker.alive(), "the broker gone")
    else:
        await asyncio.to_thread(broker.stop)
    await asyncio.sleep(away_s)
    again = partial(open_embedded, broker.home, port=broker.state.port, detach=False)
    n_workers = len(struck.trial.children.running)
    brokers.append(await asyncio.to_thread(again))
    alive = sum(process.alive() for process in struck.trial.children.running.values())
    if alive != n_workers:
        struck.violations.append(f"{n_workers - alive} workers ended while the broker was away")


KILL = Fault("kill", "the same decisions to the byte, ready in <= 10 s", kill, 10)
REBALANCE = Fault("rebalance", "the same decisions", join_or_leave, 8)
OUTAGE = Fault("outage", "the same worker goes on, nothing said twice", outage, 4)


async def die_at(struck: Struck, stage: str, point: str, times: int) -> None:
    """Start the worker so that it dies at a failpoint, and wait for that."""
    trial = struck.trial
    trial.children.environment[VARIABLE] = f"{stage}.{point}:{times}"
    try:
        process = trial.start()
        await trial.until(lambda: not process.alive(), f"an end at {stage}.{point}")
    finally:
        del trial.children.environment[VARIABLE]
        trial.children.running.pop("worker-0", None)
    struck.n_strikes += 1
    said = trial.children.log_of("worker-0").read_text(errors="replace")
    if f"failpoint {stage}.{point}" not in said:
        struck.violations.append(f"the worker ended by itself and not at {stage}.{point}: {said}")
