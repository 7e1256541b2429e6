"""Recovery on a real broker that is silent for a while: waited for, and looked after."""

import asyncio
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.tables.recovery import Recovery

from agents.watchdog import GroupStuck, Watchdog
from streams.transport import consumer_of
from tests.integration.small_app import created, running, small_app

pytestmark = pytest.mark.broker

_SILENT_S, _REQUEST_S = 1.0, 0.2


async def recovering(broker: str, name: str, tmp_path: Path) -> faust.App:
    """Return an app that has a table to recover."""
    await created(broker, f"{name}-states-changelog")
    app = small_app(broker, name, tmp_path)
    app.Table("states", key_type=bytes, value_type=bytes, partitions=2)
    app.loop = asyncio.get_running_loop()
    app.finalize()
    return app


@pytest.mark.parametrize("asked", ["highwaters", "perform_seek"])
async def test_recovery_when_the_broker_is_silent_for_longer_than_a_request_then_goes_on(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Faust ends its recovery then, for good, and the worker stays without work."""
    app = await recovering(broker, f"patient-{asked.replace('_', '-')}", tmp_path)
    wait = Recovery._wait

    async def shortly(recovery: Recovery, what: Any, timeout: Any = None) -> None:  # noqa: ANN401, ASYNC109  Faust's
        await wait(recovery, what, timeout and _REQUEST_S)

    monkeypatch.setattr(Recovery, "_wait", shortly)
    consumer = consumer_of(app)
    ask, n_asked = getattr(consumer, asked), 0

    async def slowly(*args: Any) -> Any:  # noqa: ANN401  as the consumer's
        nonlocal n_asked
        n_asked += 1
        await asyncio.sleep(_SILENT_S)
        return await ask(*args)

    monkeypatch.setattr(consumer, asked, slowly)
    async with running(app):
        assert n_asked
        assert not app.rebalancing


async def test_recovery_when_the_first_one_never_ends_then_the_watchdog_sees_it(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started before the recovery: whatever starts behind it would never start."""
    app = await recovering(broker, "unending", tmp_path)
    crashes: list[BaseException] = []
    seen = asyncio.Event()

    async def crash(error: BaseException) -> None:
        crashes.append(error)
        seen.set()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app, "crash", crash)
    monkeypatch.setattr(consumer_of(app), "highwaters", never)
    app.add_dependency(Watchdog(app, [], looks=2, every_s=0.1))
    starting = asyncio.create_task(app.start())
    async with asyncio.timeout(30):
        await seen.wait()
    starting.cancel()
    await app.stop()
    assert isinstance(crashes[0], GroupStuck)
