"""The API as a part of a worker: what it opened is closed in order."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents import serving
from agents.desk import Stages
from agents.serving import Serving, ServingPlace
from agents.stage import Stage
from tables.stores.segments import Segments


async def test_stop_when_decisions_are_being_told_then_that_ends_before_their_folder_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the close it would work in a folder that may be another process's."""
    said: list[str] = []
    close = Segments.close

    async def settle(*_: object) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            said.append("told")

    def closes(self: Segments) -> None:
        said.append("closed")
        close(self)

    monkeypatch.setattr(serving.Aside, "settle", settle)
    monkeypatch.setattr(Segments, "close", closes)
    stage = cast("Stage", SimpleNamespace(listeners=[], on_revoked=[], prefix="r1."))
    place = ServingPlace("127.0.0.1", 0, "", tmp_path / "auth", "live", tmp_path / "spill")
    none = cast("Any", None)
    service = Serving(place, none, Stages(stage, stage), none)
    await service.start()
    await asyncio.sleep(0)
    await service.stop()
    assert said == ["told", "closed"]
