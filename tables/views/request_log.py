"""One line of the log per request: which, by whom, with what end; never a token, never a code.

It is the outermost part of an application, so what no endpoint answers has its line too.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from streams import clock
from streams.clock import random_id
from streams.records import LONGEST_ID
from streams.sources.replay import TRACE_HEADER
from tables.views.auth import Caller

log = logging.getLogger("tradewind.http")

ID_HEADER = "X-Request-Id"

REQUEST_ID = web.RequestKey("request_id", str)
"""The caller's own id of a request, or one that was made for it."""
VIEWER = web.RequestKey("viewer", Caller)
"""Who asks; absent as long as nobody is known to."""
DECISION_ID = web.RequestKey("decision_id", str)
"""The decision that an answer is about, where its address does not say so."""

TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

# As nginx has it for a caller who went away before he was answered.
_GONE = 499
_OF_A_DECISION = {
    "/decisions/{id}": "id",
    "/decisions/{id}/event": "id",
    "/api/v1/decisions/{decision_id}": "decision_id",
    "/api/v1/forensics/{decision_id}": "decision_id",
}
_ID = re.compile(rf"[!-~]{{1,{LONGEST_ID}}}")
# What needs no quotes: nothing that could end a field or a line.
_PLAIN = re.compile(r"[\w.:/{}@*+-]+", re.ASCII)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give a request its id, answer it, and write its line."""
    started_s = clock.monotonic_s()
    request[REQUEST_ID] = printable(request.headers.get(ID_HEADER)) or random_id()
    status = _GONE
    try:
        response = await handler(request)
        status = response.status
    finally:
        if log.isEnabledFor(logging.INFO):
            log.info("%s", _line(request, status, clock.monotonic_s() - started_s))
    if not response.prepared:
        response.headers[ID_HEADER] = request[REQUEST_ID]
    return response


def printable(text: str | None) -> str:
    """Return a text that can be an id; empty if it cannot."""
    return text if text is not None and _ID.fullmatch(text) else ""


def _line(request: web.Request, status: int, taken_s: float) -> str:
    """Return the fields of a request in logfmt; those that are not known are left out."""
    resource = request.match_info.route.resource
    route = "" if resource is None else resource.canonical
    trace = TRACE.fullmatch(request.headers.get(TRACE_HEADER, ""))
    viewer = request.get(VIEWER)
    of_path = request.match_info.get(_OF_A_DECISION.get(route, ""), "")
    fields = {
        "request_id": request[REQUEST_ID],
        "trace_id": "" if trace is None else trace[1],
        "method": request.method,
        "route": route,
        "status": str(status),
        "duration_seconds": f"{taken_s:.6f}",
        "subject": "" if viewer is None else viewer.subject,
        "decision_id": request.get(DECISION_ID, of_path[:LONGEST_ID]),
    }
    return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items() if value)


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
