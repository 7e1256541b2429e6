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

# Where a worker waits until its tables are recovered.
_RECOVERING = "_wait_for_table_recovery_completed"


async def outage_recovering(struck: Struck) -> None:
    """Take the broker from a worker that recovers from SIGKILL, by freezing or killing it in turn.

    It goes on by itself when the broker is back, or ends and is started again.
    """
    trial, broker = struck.trial, struck.place.brokers[-1]
    # Of the tape, which waits meanwhile, also where the first worker is not caught.
    trial.patience_s = FROZEN_S + 2 * PATIENCE_S
    if not struck.keeping:
        struck.keep("0")
    while not await _frozen(struck, broker.state.pid):
        pass  # too late: once more
    struck.under_way.append(trial.undecided())
    if struck.n_strikes % 2 == 0:
        await asyncio.sleep(FROZEN_S)
        os.kill(broker.state.pid, signal.SIGCONT)
    else:
        os.kill(broker.state.pid, signal.SIGKILL)
        await trial.until(lambda: not broker.alive(), "the broker gone")
        await asyncio.sleep(KILLED_S)
        await back(struck)
    n_before = await struck.decided()

    async def has_decided() -> bool:
        return await struck.decided() > n_before

    await trial.until(has_decided, "a decision behind the outage")


async def _frozen(struck: Struck, pid: int) -> bool:
    """Kill the worker, start it again, freeze the broker; thaw it if nothing recovers any more."""
    trial = struck.trial
    before = await member_ids(trial)
    await trial.end(signal.SIGKILL)
    trial.start()

    async def has_joined() -> bool:
        return bool(await member_ids(trial) - before)

    await trial.until(has_joined, "the new worker in its group")
    await asyncio.sleep(struck.draw.uniform(*_AFTER_S))
    os.kill(pid, signal.SIGSTOP)
    recovers = _RECOVERING in await asyncio.to_thread(trial.children.where, "worker-0")
    if not recovers:
        os.kill(pid, signal.SIGCONT)
    return recovers


OUTAGE_RECOVERING = Fault(
    "outage-recovering", "the same decisions, ended by the outage or not", outage_recovering, 2
)
