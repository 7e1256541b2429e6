"""The API of a worker: it listens beside the stages, in their loop, and answers from the desk."""

import asyncio
import math
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from aiohttp import web
from mode import Service

from agents.aside import Aside
from agents.desk import Stages, WorkerDesk
from streams.tls import PLAIN, Tls
from streams.topics import PORTFOLIO_EVENTS
from streams.transport import consumer_of, producer_of
from tables.epochs import Epochs
from tables.stores.cached_row import Whose
from tables.stores.disk import Disk
from tables.stores.feature_cache import FeatureCache
from tables.stores.spill import Spill
from tables.stores.token_keys import TokenKeys
from tables.views.api import OF_LEARNING, OF_PAGES, OF_ROLLOUT, api, elsewhere, worker_endpoints
from tables.views.auth import Callers
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.routes import Bound

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
    spill
        Folder of what was decided while the broker was away.
    redis_url
        Where features and the counts of callers are shared; empty for this process alone.
    pages_url
        Where what was decided can be asked; empty if nobody answers it.
    learning_url, rollout_url
        Where updates of models are run and rollouts moved; empty if nobody does.
    is_alone
        Whether no other worker of the run exists: then it may decide while the broker is away for
        as long as that takes.
    tls
        How it listens, and how it checks the other workers.
    disk
        Whose room what is decided aside must find; None to look at none.
    """

    host: str
    port: int
    url: str
    auth: Path
    stack: str
    spill: Path
    redis_url: str = ""
    pages_url: str = ""
    learning_url: str = ""
    rollout_url: str = ""
    is_alone: bool = False
    tls: Tls = PLAIN
    disk: Disk | None = None


class Serving(Service):
    """The API as a part of the worker: it listens when the tables are recovered."""

    def __init__(self, place: ServingPlace, app: faust.App, stages: Stages, epochs: Epochs) -> None:
        super().__init__()
        self._place = place
        self._app = app
        self._stages = stages
        self._epochs = epochs
        self._cache = FeatureCache(place.redis_url, Whose(place.stack, stages.book.prefix))
        self._forwarder = Forwarder(place.tls.client)
        self._opened = AsyncExitStack()

    async def on_start(self) -> None:
        """Listen, once what an earlier process decided aside is in the log."""
        self._opened.push_async_callback(self._cache.close)
        self._opened.push_async_callback(self._forwarder.close)
        waiting = Spill(self._place.spill, disk=self._place.disk)
        spill = await self._opened.enter_async_context(waiting)
        aside = Aside(
            spill,
            lambda: producer_of(self._app),
            self._stages.book.prefix + PORTFOLIO_EVENTS.name,
            self._epochs,
            self._alone_until_s,
        )
        await aside.tell()
        desk = WorkerDesk(self._app, self._stages, self._epochs, self._cache, aside)
        self._opened.push_async_callback(_end, self.add_future(aside.settle(desk.live)))
        runner = web.AppRunner(
            api(self._endpoints(desk), self._answering()),
            access_log=None,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        self._opened.push_async_callback(runner.cleanup)
        site = web.TCPSite(
            runner, self._place.host, self._place.port, ssl_context=self._place.tls.server
        )
        await site.start()

    def _alone_until_s(self) -> float:
        if self._place.is_alone:
            return math.inf
        session_s = float(self._app.conf.broker_session_timeout)
        return consumer_of(self._app).member_at_s() + session_s

    def _endpoints(self, desk: WorkerDesk) -> tuple[Bound, ...]:
        own = worker_endpoints(desk, self._cache)
        return (
            *own,
            *elsewhere(OF_PAGES, self._place.pages_url, "the process of the pages"),
            *elsewhere(OF_LEARNING, self._place.learning_url, "the role learning"),
            *elsewhere(OF_ROLLOUT, self._place.rollout_url, "the role rollout"),
        )

    def _answering(self) -> Endpoints:
        callers = Callers(TokenKeys(self._place.auth), self._place.stack)
        limits = CallLimits(self._place.redis_url)
        self._opened.push_async_callback(limits.close)
        self.add_future(self._share(limits))
        return Endpoints(callers, limits, self._forwarder)

    async def _share(self, limits: CallLimits) -> None:
        """Share through Redis, one after the other.

        Two threads that import its driver at once can each see half of it.
        """
        await self._cache.open()
        await limits.open()

    async def on_stop(self) -> None:
        """Let who waits have his answer, and close."""
        await self._opened.aclose()


async def _end(task: "asyncio.Future[Any]") -> None:
    """End what works with something that closes next; mode ends it only after all is closed."""
    task.cancel()
    await asyncio.wait([task])


def serve(app: faust.App, place: ServingPlace, stages: Stages, epochs: Epochs) -> None:
    """Give a worker its API."""
    add_service(app, Serving(place, app, stages, epochs))


def add_service(app: faust.App, service: Service) -> None:
    """Give a worker a part that starts and stops with it."""
    services: list[Any] = app._extra_services  # noqa: SLF001  @app.service takes classes only
    services.append(service)
