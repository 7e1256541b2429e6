"""What holds for every answer: who may ask, how, with which headers, and how errors look."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from tables.views.auth import Caller
from tables.views.decision_row import DecisionRow
from tables.views.endpoint import strays
from tables.views.request_log import VIEWER
from tables.views.sessions import ANYBODY

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("tradewind.web")

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# Nothing is loaded from elsewhere, no script runs, nobody frames the page.
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    # aiohttp would name itself and Python with their versions.
    "Server": "tradewind",
}

# The one page that follows runs the one script of ours, a file, and asks this site alone.
FOLLOWING = {
    "Content-Security-Policy": f"{_POLICY}; script-src 'self'; connect-src 'self'",
}
_OWN = ("Content-Security-Policy", "Referrer-Policy")
# With no-referrer a browser would not say either which site sent a form.
WITH_A_FORM = {"Referrer-Policy": "same-origin"}

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?")
_METHODS = ("GET", "HEAD")
# Who calls these has to say who he is, so they need no other guard; they have errors of their own.
_API = ("/api/", "/risk/", "/regime/")
# What is needed to come in, or is for programs that watch.
_OPEN = ("/enter/", "/session", "/health", "/page.css", "/live.js")
_FORMS = ("/session", "/session/end")


@dataclass(frozen=True, slots=True)
class Message:
    """A page that only says something.

    Parameters
    ----------
    status
        HTTP status.
    title, message, advice
        What is the case, in detail, and what to do.
    """

    status: int
    title: str
    message: str
    advice: str


class MessageError(Exception):
    """Raised by a handler to answer with a message."""

    def __init__(self, message: Message, row: DecisionRow | None = None) -> None:
        super().__init__(message.title)
        self.message = message
        self.row = row


class MessagePage(Protocol):
    """Makes a page of a message, with the line that it is about."""

    def __call__(
        self, request: web.Request, message: Message, row: DecisionRow | None = None
    ) -> web.Response:
        """Return the page."""


class Door(Protocol):
    """Knows who looks, and asks who is not known."""

    def viewer(self, request: web.Request) -> Caller | None:
        """Return who looks."""

    def ask(self, request: web.Request) -> web.Response:
        """Return the page that asks."""


_FOREIGN_HOST = Message(
    421,
    "Not served under this name",
    "This server answers under localhost, 127.0.0.1, [::1] and the address it is bound to.",
    "Open it under one of these: a page of a foreign name could otherwise read it.",
)
_NO_SUCH_PAGE = Message(
    404,
    "No such page",
    "There are /, /decisions/{id}, /market, /portfolio, /dead-letters, /status and /health.",
    "Check the address.",
)
_READ_ONLY = Message(
    405, "Only reading", "This server answers GET and HEAD.", "Nothing can be changed here."
)
_FAILED = Message(
    500,
    "This page failed",
    "An error of ours; the server's log has it in full.",
    "Try another page; please report it with the log's last lines.",
)


def is_known_host(header: str | None, bound_host: str) -> bool:
    """Return whether a Host header names this server, so that no rebound DNS name can read it.

    Examples
    --------
    >>> is_known_host("localhost:8090", "127.0.0.1"), is_known_host("evil.example", "127.0.0.1")
    (True, False)
    """
    match = _HOST.fullmatch((header or "").lower())
    if match is None:
        return False
    name = match[1] or match[2]
    return name in _LOCAL or name == bound_host.lower().strip("[]")


def guard(
    bound_host: str, page_of: MessagePage, door: Door | None = None
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return the middleware through which every request goes; without a door everybody is in."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_API):
            return await strays(request, handler)
        if (refused := _refusal(request, bound_host, page_of, door)) is not None:
            return refused
        try:
            return await handler(request)
        except MessageError as error:
            return page_of(request, error.message, error.row)
        except web.HTTPException:
            # Ours raise none: what is left is the router's, which found nothing.
            return page_of(request, _NO_SUCH_PAGE)
        except Exception:
            log.exception("%s %s failed", request.method, request.rel_url.path)
            return page_of(request, _FAILED)

    return guarded


def _refusal(
    request: web.Request, bound_host: str, page_of: MessagePage, door: Door | None
) -> web.Response | None:
    if not is_known_host(request.headers.get("Host"), bound_host):
        return page_of(request, _FOREIGN_HOST)
    viewer = ANYBODY if door is None else door.viewer(request)
    if viewer is not None:
        request[VIEWER] = viewer
    is_form = door is not None and request.path in _FORMS and request.method == "POST"
    if request.method not in _METHODS and not is_form:
        response = page_of(request, _READ_ONLY)
        response.headers["Allow"] = ", ".join(_METHODS)
        return response
    if door is None or viewer is not None or request.path.startswith(_OPEN):
        return None
    return door.ask(request)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer, where the page has none of its own."""
    own = {name: response.headers[name] for name in _OWN if name in response.headers}
    response.headers.update(HEADERS | own)
