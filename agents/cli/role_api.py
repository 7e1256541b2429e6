"""The API of a role that is no worker: its own endpoints, the stack's tokens, and an end."""

import contextlib
from collections.abc import Iterable
from ssl import SSLContext

from aiohttp import web

from tables.views.api import api
from tables.views.auth import Callers
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.routes import Bound

_SHUTDOWN_S = 2.0


async def listen(
    stack: contextlib.AsyncExitStack,
    bound: Iterable[Bound],
    callers: Callers,
    host: str,
    port: int,
    tls: SSLContext | None = None,
) -> None:
    """Answer from now on, until the stack of contexts is left."""
    forwarder = Forwarder()
    stack.push_async_callback(forwarder.close)
    app = api(bound, Endpoints(callers, CallLimits(), forwarder))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
