"""The API as one aiohttp application: its endpoints, and the document made of the routes."""

from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version

import msgspec
from aiohttp import web

from streams import asyncapi
from tables.stores.feature_cache import FeatureCache
from tables.views.bodies import MOST_BYTES
from tables.views.decisions import DECISION, DECISIONS
from tables.views.desk import Desk
from tables.views.endpoint import Endpoints, add_headers, strays
from tables.views.features import FEATURES, feature_endpoints
from tables.views.forensics import FORENSICS
from tables.views.forensics_list import FORENSICS_LIST
from tables.views.health import HEALTH, health_endpoints
from tables.views.models import MODELS, model_endpoints
from tables.views.online_update import CANCEL, STATUS, UPDATE
from tables.views.openapi import document
from tables.views.predict import PREDICT, predict_endpoints
from tables.views.problems import not_ready
from tables.views.regime import REGIME, regime_endpoints
from tables.views.request_log import logged
from tables.views.risk import CHECK, PORTFOLIO, risk_endpoints
from tables.views.rollouts import ACTS, FLAG, ROLLOUTS, START
from tables.views.routes import Bound, Call, Reply, Route
from tables.views.try_page import add_try_page

# Answered by a worker, from its folds.
OF_WORKERS = (PREDICT, CHECK, PORTFOLIO, REGIME, FEATURES, MODELS, HEALTH)
# Answered by the process of the pages, from the log.
OF_PAGES = (DECISIONS, DECISION, FORENSICS_LIST, FORENSICS)
# Answered by the role learning, which runs what is asked for.
OF_LEARNING = (UPDATE, STATUS, CANCEL)
# Answered by the role rollout, the only one that moves them.
OF_ROLLOUT = (ROLLOUTS, START, *ACTS.values(), FLAG)
ROUTES = (*OF_WORKERS, *OF_PAGES, *OF_LEARNING, *OF_ROLLOUT)


def worker_endpoints(desk: Desk, cache: FeatureCache) -> tuple[Bound, ...]:
    """Return what a worker answers itself, or another worker for it."""
    return (
        *predict_endpoints(desk),
        *risk_endpoints(desk),
        *regime_endpoints(desk),
        *feature_endpoints(desk, cache),
        *model_endpoints(desk),
        *health_endpoints(desk),
    )


def elsewhere(routes: Iterable[Route], url: str, who: str) -> tuple[Bound, ...]:
    """Return endpoints that another process answers; without its address they are not ready."""

    def owner(_call: Call) -> str:
        if not url:
            raise not_ready("ELSEWHERE", f"{who} answers this; its address is not known here")
        return url

    async def never(_call: Call) -> Reply:
        raise not_ready("ELSEWHERE", f"{who} answers this")

    return tuple(Bound(route, never, owner) for route in routes)


def add_api(app: web.Application, bound: Iterable[Bound], endpoints: Endpoints) -> None:
    """Add endpoints, and the documents of addresses and topics, to an application."""
    for one in bound:
        app.router.add_route(one.route.method, one.route.path, endpoints.handler(one))
    ours = version("tradewind")
    for name, said in (("openapi", document(ROUTES, ours)), ("asyncapi", asyncapi.document(ours))):
        app.router.add_get(f"/api/v1/{name}.json", _described(msgspec.json.encode(said)))
    add_try_page(app)


def _described(text: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return what answers with a document."""

    async def described(_request: web.Request) -> web.Response:
        return web.Response(body=text, content_type="application/json")

    return described


def api(bound: Iterable[Bound], endpoints: Endpoints) -> web.Application:
    """Return the application of a process that serves nothing else."""
    app = web.Application(middlewares=[logged, strays], client_max_size=MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    add_api(app, bound, endpoints)
    return app
