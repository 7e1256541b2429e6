"""``/api/v1/docs``: the document of the API as a page to try it, made by Swagger UI (Apache-2.0).

The library comes from an installed package and is served from here: the page needs no other site.
A token that is typed in is kept by the open page alone.
"""

from collections.abc import Awaitable, Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

from tables.views.problems import ProblemError

PATH = "/api/v1/docs"

_PACKAGE, _EXTRA = "swagger_ui", "docs"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# What the library is made of, by the name under which the page asks for it.
_LIBRARY = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_OURS = {
    "": ("try.html", "text/html"),
    "/try.js": ("try.js", "text/javascript"),
    "/try.css": ("try.css", "text/css"),
}


def add_try_page(app: web.Application) -> None:
    """Add the page and what it is made of to an application."""
    for path, (name, kind) in _OURS.items():
        text = resources.files("tables.views").joinpath(f"page/{name}").read_bytes()
        app.router.add_get(PATH + path, _page(text, kind))
    app.router.add_get(f"{PATH}/{{name}}", _library)


def _page(text: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def page(_request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(body=text, content_type=kind, charset="utf-8", headers=headers)

    return page


async def _library(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in _LIBRARY:
        raise web.HTTPNotFound
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        text = f"the library of this page is not installed here: pip install 'tradewind[{_EXTRA}]'"
        return ProblemError(404, "NOT_INSTALLED", text).response("")
    path = Path(found.origin).parent / "static" / name
    return web.FileResponse(path, headers={"Content-Type": _LIBRARY[name]})
