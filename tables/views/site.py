"""The site: addresses, pages and the guard, as one aiohttp application."""

from aiohttp import web

from tables.views.guard import add_headers, guard
from tables.views.pages import Pages


def site(pages: Pages, bound_host: str) -> web.Application:
    """Return the application; ``bound_host`` is one more name under which it may be asked."""
    app = web.Application(middlewares=[guard(bound_host, pages.message)])
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/", pages.decisions)
    app.router.add_get("/decisions/{id}", pages.decision)
    app.router.add_get("/portfolio", pages.portfolio)
    app.router.add_get("/dead-letters", pages.dead_letters)
    app.router.add_get("/health", pages.health)
    app.router.add_get("/page.css", pages.style)
    return app
