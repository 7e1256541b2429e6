"""``/status``: how each part is, with the reason, and which models decide."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiohttp import web

from streams.questions import Health, PartHealth
from streams.timestamps import format_ns
from tables.stores.artifacts import ArtifactError, Artifacts
from tables.stores.audit_reader import AuditReader
from tables.stores.errors import StoreUnavailable
from tables.views.database_away import told_of
from tables.views.pages import Pages
from tables.views.request_log import VIEWER
from tables.views.rollout_section import AskedRollouts
from tables.views.served_models import ServedModels
from tables.views.sessions import sees_all

# A part that does not answer in this time is not well.
_PATIENCE_S = 1.5

_HEALTH = msgspec.json.Decoder(Health)


class Fitted(NamedTuple):
    """What the file of some models says of them; ``trouble`` if it could not be read.

    ``metrics`` are those of the bars that were held back from fitting.
    """

    symbols: int = 0
    first: str = ""
    last: str = ""
    code: str = ""
    metrics: Mapping[str, float] = {}
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """Serves the page."""

    pages: Pages
    rollouts: AskedRollouts = field(default_factory=AskedRollouts)

    async def status(self, request: web.Request) -> web.Response:
        """Answer ``/status``."""
        viewer = request[VIEWER]
        sets = [each for each in self.pages.memory.models.sets() if viewer.may_see(each.portfolio)]
        behind = self.pages.behind
        own = self._own()
        worker, database, rollout, fitted = await asyncio.gather(
            worker_parts(behind.worker_url, behind.tls),
            database_part(behind.reader),
            self.rollouts.section(behind),
            asyncio.to_thread(_fitted, behind.home / "artifacts", sets),
        )
        parts = [*own, *worker, database]
        return self.pages.page(
            request,
            "status.html",
            here="/status",
            # A part of a worker can be the book of a portfolio.
            parts=parts if sees_all(viewer) else [own[0], database],
            sets=sets,
            fitted=fitted,
            rollout=rollout,
        )

    def _own(self) -> list[PartHealth]:
        status = self.pages.log.status
        lag = "" if status.lag_records is None else f"{status.lag_records:,} records to read; "
        detail = f"{status.state}: {lag}{status.detail or 'follows the log of the run'}"
        pages = _part("pages", detail, well=status.state == "ok")
        memory = self.pages.memory
        bad = memory.dead_letters.n_letters + memory.n_unreadable
        told = f"{memory.dead_letters.n_letters:,} dead letters, {memory.n_unreadable:,} unreadable"
        return [pages, _part("input", told, well=not bad, needed=False)]


async def worker_parts(url: str, tls: ssl.SSLContext | None = None) -> list[PartHealth]:
    """Return what a worker says of itself and of what it needs."""
    if not url:
        return [_part("worker", "its address is not known here", well=False, needed=False)]
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url.rstrip('/')}/api/v1/health", ssl=tls or True) as answer,
        ):
            said = _HEALTH.decode(await answer.read())
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
        text = f"{url} does not say how it is: {type(error).__name__} {error}".rstrip()
        return [_part("worker", text, well=False)]
    ready = "ready" if said.ready else "not ready: it waits for what is needed below"
    return [_part("worker", ready, well=said.ready), *said.parts]


async def database_part(reader: AuditReader | None) -> PartHealth:
    """Return whether the database answers."""
    if reader is None:
        text = "none is known here: no audit trail, and only what the log still has"
        return _part("database", text, well=False, needed=False)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await reader.ask()
    except TimeoutError:
        text = f"no answer within {_PATIENCE_S:g} s"
        return _part("database", text, well=False, needed=False)
    except StoreUnavailable as error:
        return _part("database", told_of(error), well=False, needed=False)
    return _part("database", "answers", well=True, needed=False)


def _part(name: str, detail: str, *, well: bool, needed: bool = True) -> PartHealth:
    return PartHealth(name=name, is_well=well, is_needed=needed, detail=detail)


def _fitted(folder: Path, sets: list[ServedModels]) -> dict[str, Fitted]:
    return {digest: _of_file(folder, digest) for digest in {each.digests.models for each in sets}}


def _of_file(folder: Path, digest: str) -> Fitted:
    try:
        said: dict[str, Any] = Artifacts(folder).load_models(digest).metadata
    except ArtifactError as error:
        return Fitted(trouble=str(error))
    numbers = {
        name: float(value)
        for name, value in sorted(said.get("metrics", {}).get("held_back", {}).items())
        if isinstance(value, int | float)
    }
    return Fitted(
        len(said["symbols"]),
        format_ns(int(said["first_close_ns"])),
        format_ns(int(said["last_close_ns"])),
        str(said.get("code") or ""),
        numbers,
    )
