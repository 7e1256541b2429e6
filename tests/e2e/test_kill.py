"""Killed, stopped, emptied and joined in the middle of a run: what was decided stays the same.

Every run here gets the tape of ``tests.runs`` on topics of its own; what one worker says when
nothing happens to it is the definition of what all of them must say, to the byte.
"""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from streams.clock import monotonic_s
from tests.runs import TAPE, Moment, Outcome, Trial, trial

pytestmark = pytest.mark.broker

_N_BARS = len(TAPE.closes_ns())

# A worker has this long to end after SIGTERM.
_TERM_S = 5.0


def at_random(seed: int, n: int, moment: Moment) -> dict[int, Moment]:
    """Plan a moment for n bars, drawn from the whole tape but its ends."""
    drawn = random.Random(seed).sample(range(30, _N_BARS - 5), n)  # noqa: S311  a test's plan
    return dict.fromkeys(drawn, moment)


async def killed(run: Trial) -> None:
    """Kill the worker in the middle of what it does and start it again."""
    await run.end(signal.SIGKILL)
    run.start()


async def killed_after_snapshots(run: Trial) -> None:
    """Kill the worker once every kind of stage has a snapshot to come back to."""
    for stage in ("features", "weights", "risk"):
        await run.snapshotted(stage)
    await killed(run)


def check(outcome: Outcome, undisturbed: Outcome, run: Trial) -> None:
    """Compare with the undisturbed run and let the second fold verify the account."""
    assert not outcome.differs(undisturbed)
    findings = run.findings()["main"]
    assert findings.holds(), findings
    assert run.run.name.encode() not in b"".join(outcome.decisions.values())


def test_undisturbed_when_looked_at_then_trades_are_in_it(undisturbed: Outcome) -> None:
    """The comparison means something: every slot is decided, and some decisions trade."""
    assert len(undisturbed.decisions) == len(TAPE.symbols) * _N_BARS
    values = list(undisturbed.decisions.values())
    assert sum(b'"action":"BUY"' in v and b'"approved":true' in v for v in values) > 10
    assert sum(b'"action":"SELL"' in v and b'"approved":true' in v for v in values) > 10
    assert len(undisturbed.executions) > 20
    assert undisturbed.n_repeats == 0


async def test_worker_when_killed_again_and_again_then_decisions_are_the_same(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """SIGKILLs at seeded moments and right behind snapshots change no byte of what is said."""
    plan = at_random(2, 3, killed) | {270: killed_after_snapshots}
    async with trial(broker, home, fitted, "killed") as run:
        run.start()
        await run.feed(plan)
        check(await run.outcome(), undisturbed, run)


async def test_worker_when_its_tables_are_deleted_then_the_changelogs_bring_them_back(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """A kill in the middle of the recovery from the changelogs alone changes nothing either."""

    async def emptied(run: Trial) -> None:
        for stage in ("bars", "features", "weights", "risk"):
            await run.snapshotted(stage)
        await run.end(signal.SIGKILL)
        run.forget()
        run.start()
        tables = run.run.data / "tables-0"
        await run.until(lambda: any(tables.rglob("*.db")), "new tables")
        await killed(run)

    async with trial(broker, home, fitted, "emptied") as run:
        run.start()
        await run.feed({285: emptied})
        check(await run.outcome(), undisturbed, run)


async def test_worker_when_terminated_then_ends_in_order_and_repeats_nothing(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """SIGTERM finishes the step in flight, keeps its state and commits: nothing is said twice."""
    seconds = []

    async def stopped(run: Trial) -> None:
        asked = monotonic_s()
        await run.end(signal.SIGTERM)
        seconds.append(monotonic_s() - asked)
        run.start()

    async with trial(broker, home, fitted, "stopped") as run:
        run.start()
        await run.feed(at_random(3, 2, stopped))
        outcome = await run.outcome()
        check(outcome, undisturbed, run)
    assert outcome.n_repeats == 0
    assert max(seconds) < _TERM_S


async def test_worker_when_terminated_then_exits_0(broker: str, home: Path, fitted: str) -> None:
    """Whoever supervises a worker can tell an ordered end from a failed stage."""
    async with trial(broker, home, fitted, "ordered") as run:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agents", "worker"), *run.options()
        )
        try:
            await run.members(1)
            worker.terminate()
            async with asyncio.timeout(_TERM_S):
                assert await worker.wait() == 0
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()


async def test_worker_when_another_joins_and_leaves_then_decisions_are_the_same(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """Partitions move to a second worker with empty tables, and back when it is killed."""

    async def joined(run: Trial) -> None:
        run.start("1")

    async def left(run: Trial) -> None:
        await run.members(2)
        await run.end(signal.SIGKILL, "1")

    async with trial(broker, home, fitted, "joined") as run:
        run.start()
        await run.feed({120: joined, 280: left})
        check(await run.outcome(), undisturbed, run)
