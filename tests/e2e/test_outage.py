"""The broker goes and comes back in the middle of a run: the worker waits, and nothing is lost."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from streams.brokers.embedded import open_embedded
from tests.runs import Outcome, Trial, trial

pytestmark = pytest.mark.broker

# Longer than the group's session time-out and than a produce request waits.
AWAY_S = 25.0


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
async def test_broker_when_it_is_away_then_the_same_worker_goes_on_and_decides_the_same(
    home: Path, fitted: str, undisturbed: Outcome, tmp_path: Path, sign: signal.Signals
) -> None:
    """Neither an orderly stop nor a kill of the broker ends the worker or changes a byte."""
    brokers = [open_embedded(tmp_path, port=None, detach=False)]
    servers = brokers[0].bootstrap_servers

    async def away(run: Trial) -> None:
        broker = brokers[-1]
        if sign == signal.SIGKILL:
            os.kill(broker.state.pid, sign)
            await run.until(lambda: not broker.alive(), "the broker gone")
        else:
            await asyncio.to_thread(broker.stop)
        await asyncio.sleep(AWAY_S)
        again = partial(open_embedded, tmp_path, port=broker.state.port, detach=False)
        brokers.append(await asyncio.to_thread(again))

    try:
        async with trial(servers, home, fitted, f"away-{sign.name}") as run:
            worker = run.start()
            await run.feed({150: away})
            assert worker.alive()
            outcome = await run.outcome()
            assert not outcome.differs(undisturbed)
            assert run.findings()["main"].holds()
    finally:
        brokers[-1].stop()
