"""The API of a worker: it listens beside the stages, in their loop, and answers from the desk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from aiohttp import web
from mode import Service

from agents.desk import WorkerDesk
from agents.stage import Stage
from tables.epochs import Epochs
from tables.stores.feature_cache import FeatureCache
from tables.stores.token_keys import TokenKeys
from tables.views.api import OF_PAGES, api, elsewhere, worker_endpoints
from tables.views.auth import Callers
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder

_SHUTDOWN_S = 2.0


@dataclass(frozen=True, slots=True)
class ServingPlace:
    """Where a worker's API listens and what it needs.

    Parameters
    ----------
    host, port
        Where it listens.
    url
        Under which address the other workers reach it.
    auth
        Folder of the keys and revocations of tokens.
    stack
        Whose tokens are accepted.
    redis_url
        Where features and the counts of callers are shared; empty for this process alone.
    pages_url
        Where what was decided can be asked; empty if nobody answers it.
    """

    host: str
    port: int
    url: str
    auth: Path
    stack: str
    redis_url: str = ""
    pages_url: str = ""


class Serving(Service):
    """The API as a part of the worker: it listens when the tables are recovered."""

    def __init__(self, place: ServingPlace, desk: WorkerDesk, cache: FeatureCache) -> None:
        super().__init__()
        self._place = place
        self._desk = desk
        self._cache = cache
        self._forwarder = Forwarder()
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Listen."""
        callers = Callers(TokenKeys(self._place.auth), self._place.stack)
        limits = CallLimits(self._place.redis_url)
        endpoints = Endpoints(callers, limits, self._forwarder)
        own = worker_endpoints(self._desk, self._cache)
        others = elsewhere(OF_PAGES, self._place.pages_url, "the process of the pages")
        app = api((*own, *others), endpoints)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._place.host, self._place.port).start()

    async def on_stop(self) -> None:
        """Let who waits have his answer, and close."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._forwarder.close()
        await self._cache.close()


def serve(app: faust.App, place: ServingPlace, risk: Stage, epochs: Epochs) -> None:
    """Give a worker its API."""
    cache = FeatureCache(place.redis_url)
    desk = WorkerDesk(app, risk, epochs, cache)
    services: list[Any] = app._extra_services  # noqa: SLF001  @app.service takes classes only
    services.append(Serving(place, desk, cache))
