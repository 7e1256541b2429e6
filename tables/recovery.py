"""The tables of an app begin to recover at once, and for as long as it takes.

Faust 0.15.3 sleeps a second before it lets its tables recover, whatever there is to wait for; that
second is a third of a worker's restart. The tables are declared before the app starts.

What its recovery asks the broker has a time-out, and a time-out ends the recovery for good: the
worker stays, a member of its group that reads nothing. A broker that is away is waited for here,
as everywhere; what never ends although the broker answers is seen by the watchdog.
"""

from typing import Any

from faust.tables import TableManager
from faust.tables.recovery import Recovery


class PatientRecovery(Recovery):
    """A recovery that ends when it is done, with its service, or with a new assignment."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ANN401, ARG002, ASYNC109  base
        await super()._wait(coro)


class ReadyTables(TableManager):
    """All tables of an app."""

    @property
    def recovery(self) -> Recovery:
        """Return the service that recovers them."""
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Find the changelogs and start their recovery."""
        await self._update_channels()
        await self.recovery.start()
