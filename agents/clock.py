"""The one clock of a live run: ``wall time -> heartbeats in every partition of market-ticks``.

A heartbeat says that a bar boundary plus the allowed lateness has come. Its number is the boundary
counted in bars since 1970, so numbers go on without a gap over restarts, and a gap says for how
long no clock ran.
"""

import asyncio
import logging
from itertools import count

from streams.clock import wall_ns
from streams.epochs import Epoch
from streams.sources.replay import Clock

log = logging.getLogger("tradewind.clock")

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

# The epoch is said again now and then, so that its announcement never leaves the topic by age.
_ANNOUNCE_EVERY = 64


async def run_clock(clock: Clock, epoch: Epoch, *, number: int, digest: str) -> None:
    """Announce the epoch from the bar that is open now on, then beat at every boundary.

    The epoch that was announced before under the same number stays as it is: a restarted clock
    announces it again, and the stages know it.
    """
    lateness_ns = epoch.lateness_ms * _NS_PER_MS
    bar = (wall_ns() - lateness_ns) // epoch.timeframe_ns
    await clock.announce(number, digest, bar * epoch.timeframe_ns)
    log.info("epoch %d (%s) announced; bars of %s", number, digest[:12], epoch.timeframe)
    for beats in count(1):
        if beats % _ANNOUNCE_EVERY == 0:
            await clock.announce(number, digest, bar * epoch.timeframe_ns)
        due_ns = bar * epoch.timeframe_ns + lateness_ns
        await asyncio.sleep(max(0.0, (due_ns - wall_ns()) / _NS_PER_S))
        await clock.beat(due_ns, n=bar, meant_ns=due_ns)
        now = (wall_ns() - lateness_ns) // epoch.timeframe_ns
        if now > bar + 1:
            log.warning("the clock woke %d bars late; it goes on at the present one", now - bar - 1)
        bar = max(bar + 1, now)
