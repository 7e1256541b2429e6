"""What the last check of a live run found, as gauges: the command is over before it is asked."""

import asyncio
from pathlib import Path

from streams import metrics
from tables.stores.run_checks import last_check

_LOOK_S = 30.0


async def follow_checks(home: Path) -> None:
    """Show each check of a stack when it was made, until cancelled."""
    while True:
        show_check(home)
        await asyncio.sleep(_LOOK_S)


def show_check(home: Path) -> None:
    """Show what the last check found; without one there is nothing that could differ."""
    found = last_check(home)
    if found is None:
        return
    metrics.RUN_CHECK_SECONDS.set(found.at_ns / 1e9)
    for outcome in ("same", "differing", "unchecked"):
        metrics.RUN_CHECK_RECORDS.labels(outcome).set(getattr(found, f"n_{outcome}"))
