"""The way in: a form that takes a token, a link that is good once, and the way out.

Neither the token nor the session is ever part of an address. A code is, and it is worth nothing
once it was opened.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tables.stores.entry_codes import EntryCodes
from tables.views.auth import Caller
from tables.views.guard import Message, MessageError
from tables.views.problems import ProblemError
from tables.views.request_log import VIEWER
from tables.views.sessions import LONGEST_S, Sessions

FormPage = Callable[..., web.Response]

# An address of this site: one slash, and nothing that a browser could take for a host.
_OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,2000}")

_FOREIGN_FORM = Message(
    403,
    "This form is of another site",
    "It was sent by a page of another site, or by a browser that does not say which.",
    "Open this site itself and sign in there.",
)
_CODE_USED = Message(
    410,
    "This link is used up",
    "Such a link lets in once, within an hour.",
    "Make another with `tradewind token link`, or sign in with a token.",
)
_CODE_WAITS = Message(
    200, "This link lets in once", "It was not opened by a person.", "Open it in a browser."
)


def entry_path(code: str) -> str:
    """Return the path at which a code lets in.

    Examples
    --------
    >>> entry_path("5f2e")
    '/enter/5f2e'
    """
    return f"/enter/{code}"


class Entrance:
    """The door of the pages.

    Parameters
    ----------
    sessions, codes
        Who is in, and which links let in.
    form
        Makes the page that asks for a token, of a request, a reason and an address to go on to.
    """

    def __init__(self, sessions: Sessions, codes: EntryCodes, form: FormPage) -> None:
        self._sessions = sessions
        self._codes = codes
        self._form = form

    def viewer(self, request: web.Request) -> Caller | None:
        """Return who asks, None if nobody is known to."""
        return self._sessions.viewer(request.cookies.get(self._sessions.cookie))

    def ask(self, request: web.Request, why: str = "") -> web.Response:
        """Return the page that asks for a token and goes on to where the request led."""
        following = request.rel_url.raw_path_qs if request.method == "GET" else "/"
        return self._asking(request, why, following)

    async def enter(self, request: web.Request) -> web.Response:
        """Answer ``/enter/{code}``."""
        # What looks at links before people do must not use them up.
        if request.method == "HEAD" or "Sec-Purpose" in request.headers:
            raise MessageError(_CODE_WAITS)
        issued = self._codes.redeem(request.match_info["code"])
        if issued is None:
            raise MessageError(_CODE_USED)
        caller = Caller(
            issued.subject,
            issued.jti,
            issued.role,
            tuple(issued.portfolios),
            issued.expires_s,
            issued.kid,
        )
        if not self._sessions.callers.is_good(caller):
            raise MessageError(_CODE_USED)
        # Not a redirect: a browser that was led here by another program would leave out the strict
        # cookie on the way; from a page of ours it goes along.
        request[VIEWER] = caller
        response = self._form(request, "entered.html", goes_on="/")
        self._keep(request, response, caller)
        return response

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Answer ``POST /session``: a token for a session."""
        self._check_own(request)
        try:
            form = await request.post()
        except (ValueError, LookupError, HttpProcessingError, web.RequestPayloadError):
            return self._asking(request, "the form could not be read", "/")
        token, given = form.get("token", ""), form.get("next")
        is_own = isinstance(given, str) and _OWN_PATH.fullmatch(given)
        following = str(given) if is_own else "/"
        try:
            caller = self._sessions.callers.caller(f"Bearer {str(token).strip()}")
        except ProblemError as error:
            return self._asking(request, error.detail, following)
        request[VIEWER] = caller
        answer = web.Response(status=303, headers={"Location": following})
        self._keep(request, answer, caller)
        return answer

    async def end(self, request: web.Request) -> web.StreamResponse:
        """Answer ``POST /session/end``."""
        self._check_own(request)
        self._sessions.close(request.cookies.get(self._sessions.cookie, ""))
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.del_cookie(self._sessions.cookie, path="/")
        return answer

    def _asking(self, request: web.Request, why: str, following: str) -> web.Response:
        response = self._form(request, "enter.html", why=why, following=following)
        response.set_status(401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _keep(self, request: web.Request, response: web.Response, caller: Caller) -> None:
        is_secure = request.secure or request.headers.get("Origin", "").startswith("https:")
        response.set_cookie(
            self._sessions.cookie,
            self._sessions.open(caller),
            path="/",
            max_age=LONGEST_S,
            httponly=True,
            samesite="Strict",
            secure=is_secure,
        )

    @staticmethod
    def _check_own(request: web.Request) -> None:
        """Refuse a form that a page of another site sent; it could sign a person in as another."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site is not None:
            own = site in ("same-origin", "none")
        else:
            own = origin is None or urlsplit(origin).netloc == request.headers.get("Host")
        if not own:
            raise MessageError(_FOREIGN_FORM)
