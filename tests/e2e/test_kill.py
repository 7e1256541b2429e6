"""A worker without its local tables, and one that is told to end; tests/chaos has the other faults.

What one worker says when nothing happens to it is the definition of what all of them must say, to
the byte.
"""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.runs import TAPE, Outcome, Trial, trial

pytestmark = pytest.mark.broker

_N_BARS = len(TAPE.closes_ns())

# A worker has this long to end after SIGTERM.
_TERM_S = 5.0


async def killed(run: Trial) -> None:
    """Kill the worker in the middle of what it does and start it again."""
    await run.end(signal.SIGKILL)
    run.start()


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


async def test_worker_when_its_tables_are_deleted_then_the_changelogs_bring_them_back(
    broker: str, home: Path, fitted: str, undisturbed: Outcome
) -> None:
    """A kill in the middle of the recovery from the changelogs alone changes nothing either."""

    async def emptied(run: Trial) -> None:
        for stage in ("bars", "signals", "risk"):
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
