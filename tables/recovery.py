"""The tables of an app begin to recover at once.

Faust 0.15.3 sleeps a second before it lets its tables recover, whatever there is to wait for; that
second is a third of a worker's restart. The tables are declared before the app starts.
"""

from faust.tables import TableManager


class ReadyTables(TableManager):
    """All tables of an app."""

    async def on_start(self) -> None:
        """Find the changelogs and start their recovery."""
        await self._update_channels()
        await self.recovery.start()
