"""What is done to a run in the middle of its tape, and what must be so all the same."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiokafka import ConsumerRecord

from streams import topics
from streams.brokers.embedded import EmbeddedBroker, open_embedded
from streams.clock import monotonic_s, wall_ns
from streams.epochs import Portfolio
from streams.failpoints import VARIABLE
from streams.sources.synthetic import SyntheticTape
from streams.sources.tape import Tape
from streams.timestamps import parse_ns
from tests.chaos.groups import generation
from tests.runs import PATIENCE_S, TAPE, Outcome, Trial

# Stages that a paper run goes through, in flow order.
STAGES = ("bars", "signals", "risk")

# The header that says when a record was made, on the clock of its worker.
MADE = "ts-init-ns"

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

    ``recoveries_s`` are from a strike to the first decision of the worker that was started after
    it, ``under_way`` are the bars that were sent and not decided when it was killed or the broker
    was gone, and ``generations`` those of the group before and after a change of its members;
    ``n_asked`` are requests that were answered, ``n_aside`` of them while the broker was away.
    """

    trial: Trial
    draw: random.Random
    place: Place
    n_strikes: int = 0
    n_asked: int = 0
    n_aside: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    generations: list[tuple[int, int]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    watching: list[asyncio.Task[None]] = field(default_factory=list)
    keeping: list[asyncio.Task[None]] = field(default_factory=list)

    def watch_recovery(self, since_s: float, instance: str = "0", behind_ns: int = -1) -> None:
        """Note when a worker that was just started is known to decide, while the tape goes on.

        That is the first decision that was made after its start, on a bar behind ``behind_ns``.
        """
        made_ns, process = wall_ns(), self.trial.started[instance]
        recovered = self._recovered(since_s, (made_ns, behind_ns), process.alive)
        self.watching.append(asyncio.create_task(recovered))

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

    async def _recovered(
        self, since_s: float, behind: tuple[int, int], is_alive: Callable[[], bool]
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                async with aclosing(self.trial.tail(topics.TRADING_DECISIONS.name)) as said:
                    async for record in said:
                        if not is_alive():
                            return  # it was struck again before it had recovered
                        if _is_behind(record, *behind):
                            break
        except TimeoutError:
            self.violations.append(f"no decision within {PATIENCE_S:g} s of a strike")
            return
        self.recoveries_s.append(monotonic_s() - since_s)


def _is_behind(record: ConsumerRecord, made_ns: int, close_ns: int) -> bool:
    """Tell whether a decision was made after a time, on a bar that closed after another."""
    at_ns = parse_ns(msgspec.json.decode(record.value)["timestamp"])
    return made_at_ns(record) > made_ns and at_ns > close_ns


def made_at_ns(record: ConsumerRecord) -> int:
    """Return when a record was made, on the clock of its worker."""
    (found,) = (int(value) for name, value in record.headers if name == MADE)
    return found


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
    beside
        The tape goes on while a strike is under way. Not where the tape needs what is struck.
    clean
        Nothing bad is sent, so there must be no dead letter.
    once
        No decision is said twice.
    least
        How much of a promise the judge must have checked, as its ``--least`` takes it.
    """

    equal: bool = True
    rows: bool = False
    portfolios: tuple[Portfolio, ...] = ()
    tape: Tape | None = None
    beside: bool = True
    clean: bool = True
    once: bool = False
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
    struck.under_way.append(struck.trial.undecided())
    await struck.trial.end(signal.SIGKILL)
    struck.trial.start()
    struck.watch_recovery(since_s)


async def join_or_leave(struck: Struck) -> None:
    """Let a second worker come, or end in order, or be killed, and see that the group changed."""
    trial = struck.trial
    before = await generation(trial)
    if "worker-1" not in trial.children.running:
        trial.start("1")
        await trial.members(2)
    else:
        await trial.end(struck.draw.choice((signal.SIGTERM, signal.SIGKILL)), "1")
        await trial.members(1)
    after = await generation(trial)
    struck.generations.append((before, after))
    if after <= before:
        struck.violations.append(f"the group is at generation {after} still: nothing was tried")
    await asyncio.sleep(struck.draw.uniform(0.5, 3.0))


async def outage(struck: Struck, away_s: float = AWAY_S) -> None:
    """Stop or kill the broker, and start it again on its data after a while.

    The tape goes on as long as the broker takes it: one that is stopped in order takes a second to
    go, in which a worker would finish all that was sent.
    """
    struck.trial.patience_s = away_s + PATIENCE_S
    await away(struck)
    struck.under_way.append(struck.trial.undecided())
    await asyncio.sleep(away_s)
    n_workers = len(struck.trial.children.running)
    await back(struck)
    alive = sum(process.alive() for process in struck.trial.children.running.values())
    if alive != n_workers:
        struck.violations.append(f"{n_workers - alive} workers ended while the broker was away")


async def away(struck: Struck) -> None:
    """Stop or kill the broker."""
    broker = struck.place.brokers[-1]
    if struck.draw.random() < 0.5:
        os.kill(broker.state.pid, signal.SIGKILL)
        await struck.trial.until(lambda: not broker.alive(), "the broker gone")
    else:
        await asyncio.to_thread(broker.stop)


async def back(struck: Struck) -> None:
    """Start the broker again on its data."""
    broker = struck.place.brokers[-1]
    again = partial(open_embedded, broker.home, port=broker.state.port, detach=False)
    struck.place.brokers.append(await asyncio.to_thread(again))


KILL = Fault("kill", "the same decisions to the byte, ready in <= 10 s", kill, 25)
REBALANCE = Fault("rebalance", "the same decisions", join_or_leave, 25)
OUTAGE = Fault("outage", "the same worker goes on, nothing said twice", outage, 10, How(once=True))


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
