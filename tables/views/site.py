"""The site: addresses, pages and the guard, as one aiohttp application."""

from typing import NamedTuple

from aiohttp import web

from tables.stores.entry_codes import EntryCodes
from tables.views.api import OF_LEARNING, OF_ROLLOUT, OF_WORKERS, add_api, elsewhere
from tables.views.bodies import MOST_BYTES
from tables.views.decisions import decision_endpoints
from tables.views.endpoint import Endpoints
from tables.views.entrance import Entrance
from tables.views.forensics import forensics_endpoints
from tables.views.forensics_list import forensics_list_endpoint
from tables.views.guard import add_headers, guard
from tables.views.live import LiveStream
from tables.views.pages import Pages
from tables.views.request_log import logged
from tables.views.sessions import Sessions
from tables.views.status_page import StatusPage


class Served(NamedTuple):
    """How programs are answered, and how people come in: both by tokens of the same keys."""

    endpoints: Endpoints
    sessions: Sessions
    codes: EntryCodes


def site(pages: Pages, bound_host: str, served: Served | None = None) -> web.Application:
    """Return the application.

    Parameters
    ----------
    pages
        What people see.
    bound_host
        One more name under which it may be asked.
    served
        How programs are answered: with the run's decisions here, with the rest by a worker; None
        to answer people only, and to ask nobody who looks.
    """
    door = None if served is None else Entrance(served.sessions, served.codes, pages.page)
    app = web.Application(
        middlewares=[logged, guard(bound_host, pages.message, door)],
        client_max_size=MOST_BYTES,
    )
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/", pages.decisions)
    app.router.add_get("/decisions/{id}", pages.decision)
    app.router.add_get("/decisions/{id}/event", pages.event)
    app.router.add_get("/market", pages.market)
    app.router.add_get("/portfolio", pages.portfolio)
    app.router.add_get("/status", StatusPage(pages).status)
    app.router.add_get("/dead-letters", pages.dead_letters)
    app.router.add_get("/health", pages.health)
    app.router.add_get("/page.css", pages.style)
    app.router.add_get("/live.js", pages.script)
    live = LiveStream(pages.memory.tail, door)
    app.router.add_get("/live", live.follow)
    app.on_shutdown.append(live.end)
    if served is not None and door is not None:
        app.router.add_get("/enter/{code}", door.enter)
        app.router.add_post("/session", door.begin)
        app.router.add_post("/session/end", door.end)
        behind = pages.behind
        own = decision_endpoints(pages.memory, pages.log, behind.reader)
        why = forensics_endpoints(pages.memory, pages.log, behind.reader, behind.home)
        trail = forensics_list_endpoint(pages.memory.decisions, behind.reader)
        others = (
            *elsewhere(OF_WORKERS, behind.worker_url, "a worker"),
            *elsewhere(OF_LEARNING, behind.learning_url, "the role learning"),
            *elsewhere(OF_ROLLOUT, behind.rollout_url, "the role rollout"),
        )
        add_api(app, (*own, *why, trail, *others), served.endpoints)
    return app
