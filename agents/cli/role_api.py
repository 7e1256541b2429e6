"""The API of a role that is no worker: its own endpoints, the stack's tokens, and an end."""

import contextlib
from collections.abc import Iterable
from ssl import SSLContext
from typing import NamedTuple

from aiohttp import web

from tables.views.api import api
from tables.views.auth import Callers
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.routes import Bound

_SHUTDOWN_S = 2.0


class Listening(NamedTuple):
    """Where a role's API listens, how, and where its callers are counted; port 0: it does not."""

    host: str
    port: int
    tls: SSLContext | None = None
    redis_url: str = ""


async def listen(
    stack: contextlib.AsyncExitStack, bound: Iterable[Bound], callers: Callers, at: Listening
) -> None:
    """Answer from now on, until the stack of contexts is left."""
    forwarder, limits = Forwarder(), CallLimits(at.redis_url)
    stack.push_async_callback(forwarder.close)
    stack.push_async_callback(limits.close)
    await limits.open()
    app = api(bound, Endpoints(callers, limits, forwarder))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, at.host, at.port, ssl_context=at.tls).start()
