"""The broker goes while a worker recovers: it has joined its group and has not decided yet."""

import asyncio
import os
import signal

from tests.chaos.faults import Fault, Struck, back
from tests.chaos.groups import member_ids
from tests.runs import PATIENCE_S

# Longer than a request of a worker waits for its answer, which is 30 s.
FROZEN_S = 45.0
KILLED_S = 20.0

# Behind its joining: the recovery takes half a second to two, as laden as the machine is.
_AFTER_S = (0.0, 0.5)


async def outage_recovering(struck: Struck) -> None:
    """Take the broker from a worker that recovers from SIGKILL, by freezing or killing it in turn.

    A worker that ends of it is started again.
    """
    struck.trial.patience_s = FROZEN_S + PATIENCE_S
    if not struck.keeping:
        struck.keep("0")
    while not await _recovers(struck):
        pass  # it had decided already: once more
    struck.under_way.append(struck.trial.undecided())
    await (_frozen, _killed)[struck.n_strikes % 2](struck)


async def _recovers(struck: Struck) -> bool:
    """Kill the worker, start it again, and tell whether it has joined and not decided yet."""
    trial = struck.trial
    before = await member_ids(trial)
    await trial.end(signal.SIGKILL)
    n_decided = await struck.decided()
    trial.start()

    async def has_joined() -> bool:
        return bool(await member_ids(trial) - before)

    await trial.until(has_joined, "the new worker in its group")
    await asyncio.sleep(struck.draw.uniform(*_AFTER_S))
    return await struck.decided() == n_decided


async def _frozen(struck: Struck) -> None:
    pid = struck.place.brokers[-1].state.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def _killed(struck: Struck) -> None:
    broker = struck.place.brokers[-1]
    os.kill(broker.state.pid, signal.SIGKILL)
    await struck.trial.until(lambda: not broker.alive(), "the broker gone")
    await asyncio.sleep(KILLED_S)
    await back(struck)


OUTAGE_RECOVERING = Fault(
    "outage-recovering", "the same decisions, ended by the outage or not", outage_recovering, 2
)
