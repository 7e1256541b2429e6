"""From a request to an answer: who calls, whose portfolio, how often, what, in time, or a problem.

The order matters: what is not known to be allowed is refused before anything is read, and what
another process owns goes there before it is counted here. What nobody can use is counted too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from streams import clock, metrics
from streams.clock import random_id
from streams.records import LONGEST_ID
from streams.sources.replay import TRACE_HEADER
from tables.stores.admin_log import AdminLogError
from tables.views.auth import Caller, Callers
from tables.views.bodies import MOST_BYTES, read_body, read_query
from tables.views.call_limits import CallLimits
from tables.views.forwarding import Forwarder
from tables.views.problems import ProblemError, not_ready, wrong
from tables.views.request_log import (
    DECISION_ID,
    REQUEST_ID,
    TRACE,
    VIEWER,
    printable,
)
from tables.views.routes import Bound, Call, Reply, Route

log = logging.getLogger("tradewind.api")

DEADLINE_HEADER = "Request-Timeout-Ms"
KEY_HEADER = "Idempotency-Key"

_DEADLINE_MS = 2_000
_LONGEST_DEADLINE_MS = 30_000
# What waits at the same time; more would only wait longer, and nobody would know.
_MOST_IN_FLIGHT = 512

_JSON = msgspec.json.Encoder()
_NOBODY = Caller("", "", "trader", (), 0)

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # aiohttp would name itself and Python with their versions.
    "Server": "tradewind",
}


@dataclass(slots=True)
class Endpoints:
    """Answers requests by the routes of a process.

    Parameters
    ----------
    callers, limits, forwarder
        Who calls, how often, and how to reach another process.
    """

    callers: Callers
    limits: CallLimits
    forwarder: Forwarder
    in_flight: int = field(default=0)

    def handler(self, bound: Bound) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return what aiohttp calls for a route."""
        route = bound.route

        async def handle(request: web.Request) -> web.Response:
            started_s = clock.monotonic_s()
            request_id = request[REQUEST_ID]
            try:
                try:
                    response = await self._within(request, bound, request_id, started_s)
                except ProblemError as error:
                    response = error.response(request_id)
            except Exception:
                log.exception("%s %s failed, request %s", route.method, route.path, request_id)
                text = f"an error of ours; the server's log has it under request {request_id}"
                response = ProblemError(500, "INTERNAL", text).response(request_id)
            taken_s = clock.monotonic_s() - started_s
            metrics.HTTP_SECONDS.labels(route.name, str(response.status)).observe(taken_s)
            return response

        return handle

    async def _within(
        self, request: web.Request, bound: Bound, request_id: str, started_s: float
    ) -> web.Response:
        deadline_ms = _deadline_ms(request)
        if self.in_flight >= _MOST_IN_FLIGHT:
            raise ProblemError(
                503,
                "BUSY",
                f"{self.in_flight} requests wait already; try again",
                headers={"Retry-After": "1"},
            )
        self.in_flight += 1
        deadline = asyncio.timeout(deadline_ms / 1_000)
        try:
            async with deadline:
                return await self._answered(request, bound, request_id, started_s)
        except TimeoutError as error:
            if not deadline.expired():
                # Some part gave up before the caller did, and its own handler did not say so.
                raise not_ready("PART_AWAY", f"a part did not answer in time: {error!r}") from error
            raise _late(bound.route, deadline_ms) from error
        finally:
            self.in_flight -= 1

    async def _answered(
        self, request: web.Request, bound: Bound, request_id: str, started_s: float
    ) -> web.Response:
        route = bound.route
        caller = self._caller(request, route)
        try:
            call = await _call(request, route, caller, request_id, started_s)
            owner = bound.owner(call)
        except ProblemError as error:
            # What cannot be understood goes to no owner, who would count it.
            error.headers.update(await self._counted(caller, route))
            raise
        if owner:
            return await self.forwarder.forward(request, owner, call.headers)
        headers = await self._counted(caller, route)
        try:
            reply = await bound.handler(call)
        except ProblemError as error:
            error.headers.update(headers)
            raise
        except AdminLogError as error:
            log.exception("an act of %s could not be written down", caller.subject)
            text = (
                "the log of administrators' acts cannot be written; the log of this role says why"
            )
            problem = not_ready("NO_ADMIN_LOG", text, retry_s=60)
            problem.headers.update(headers)
            raise problem from error
        if decided := getattr(reply.body, "decision_id", ""):
            request[DECISION_ID] = decided
        return _response(reply, {**headers, KEY_HEADER: call.key} if call.key else headers)

    async def _counted(self, caller: Caller, route: Route) -> dict[str, str]:
        """Count a request and return the headers that say what is left; it raises 429."""
        if route.limited is None or not route.roles:
            return {}
        return await self.limits.count(caller, route.limited)

    def _caller(self, request: web.Request, route: Route) -> Caller:
        if not route.roles:
            return _NOBODY
        request[VIEWER] = caller = self.callers.caller(request.headers.get("Authorization"))
        if caller.role not in route.roles:
            raise ProblemError(
                403,
                "FORBIDDEN",
                f"role {caller.role} may not do this; expected {' or '.join(route.roles)}",
            )
        return caller


def _late(route: Route, deadline_ms: int) -> ProblemError:
    """Return the problem of an answer that did not come in time."""
    said = f"no answer within {deadline_ms} ms"
    if route.method == "GET":
        said += f"; nothing was changed: ask again, with more time in {DEADLINE_HEADER} if need be"
    else:
        said += (
            f"; what was asked for may still happen: ask again with the same {KEY_HEADER}, it is "
            "done once"
        )
    return ProblemError(504, "DEADLINE", said)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer."""
    response.headers.update(_HEADERS)


@web.middleware
async def strays(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401  as aiohttp types it
    """Answer with a problem what no route takes."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.method} is not for this address; expected {allowed}"
        problem = ProblemError(405, "WRONG_METHOD", text, headers={"Allow": allowed})
        return problem.response(request[REQUEST_ID])
    except web.HTTPException as error:
        text = "there is no such address; /api/v1/openapi.json lists all"
        return ProblemError(error.status, "NO_SUCH_ADDRESS", text).response(request[REQUEST_ID])
    return response


async def _call(
    request: web.Request, route: Route, caller: Caller, request_id: str, started_s: float
) -> Call:
    headers = {"request-id": request_id}
    trace = request.headers.get(TRACE_HEADER, "")
    if TRACE.fullmatch(trace):
        headers[TRACE_HEADER] = trace
    key = ""
    if route.method == "POST":
        given = request.headers.get(KEY_HEADER)
        key = random_id() if given is None else printable(given)
        if not key:
            expected = f"1..{LONGEST_ID} printable characters of ASCII, without a space"
            raise wrong("BAD_KEY", KEY_HEADER, given, expected)
        # What somebody writes there is meant for the body; left unread, another order is checked.
        for name, value in request.query.items():
            raise wrong("IN_THE_ADDRESS", name, value, "the fields of a POST in its body, as JSON")
        asked = read_body(await _body(request), route.asked)
    else:
        asked = read_query(request.query.items(), route.asked)
    return Call(caller, asked, dict(request.match_info), headers, started_s, key)


async def _body(request: web.Request) -> bytes:
    if request.content_type not in {"application/json", "application/octet-stream"}:
        text = f"the body is {request.content_type}; expected application/json"
        raise ProblemError(415, "NOT_JSON", text)
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ProblemError(
            413, "TOO_LARGE", f"the body has more than {MOST_BYTES} bytes; no request needs as many"
        ) from error
    except (HttpProcessingError, web.RequestPayloadError) as error:
        text = f"the body is not encoded as its headers say: {error}"
        raise ProblemError(400, "BAD_ENCODING", text) from error


def _deadline_ms(request: web.Request) -> int:
    given = request.headers.get(DEADLINE_HEADER)
    if given is None:
        return _DEADLINE_MS
    expected = f"1..{_LONGEST_DEADLINE_MS} ms"
    if not given.isascii() or not given.isdigit() or not 0 < len(given) <= len(expected):
        raise wrong("BAD_DEADLINE", DEADLINE_HEADER, given, expected)
    if not 1 <= int(given) <= _LONGEST_DEADLINE_MS:
        raise wrong("BAD_DEADLINE", DEADLINE_HEADER, given, expected)
    return int(given)


def _response(reply: Reply, headers: dict[str, str]) -> web.Response:
    body = reply.body if isinstance(reply.body, bytes) else _JSON.encode(reply.body)
    return web.Response(
        status=reply.status,
        body=body,
        content_type="application/json",
        headers={**headers, **reply.headers},
    )
