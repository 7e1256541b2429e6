"""Tables recover at once: Faust's own second of sleep is what this class leaves out."""

import asyncio
import inspect

import faust
from faust.tables import TableManager

from tables.recovery import ReadyTables


async def test_start_when_called_then_recovery_begins_without_a_pause() -> None:
    """A second of every restart was nothing but sleep."""
    said: list[str] = []

    class Played:
        """What a start asks for."""

        async def start(self) -> None:
            """Note it."""
            said.append("recovery")

    app = faust.App("played", broker="kafka://127.0.0.1:1", web_enabled=False)
    manager = ReadyTables(app)
    manager._recovery = Played()

    async def update() -> None:
        said.append("channels")

    manager._update_channels = update
    async with asyncio.timeout(0.5):
        await manager.on_start()
    assert said == ["channels", "recovery"]


def test_faust_when_read_then_still_does_the_same_after_its_sleep() -> None:
    """A new release of Faust that does more there must be looked at."""
    source = inspect.getsource(TableManager.on_start)
    assert "sleep(1.0)" in source
    assert "await self._update_channels()\n            await self.recovery.start()" in source
