"""The API of a worker as one aiohttp application: its routes, and the document made of them."""

from importlib.metadata import version

import msgspec
from aiohttp import web

from tables.stores.feature_cache import FeatureCache
from tables.views.bodies import MOST_BYTES
from tables.views.desk import Desk
from tables.views.endpoint import Endpoints, add_headers, strays
from tables.views.features import feature_routes
from tables.views.health import health_routes
from tables.views.models import model_routes
from tables.views.openapi import document
from tables.views.predict import predict_routes
from tables.views.regime import regime_routes
from tables.views.risk import risk_routes
from tables.views.routes import Route


def api_routes(desk: Desk, cache: FeatureCache) -> tuple[Route, ...]:
    """Return every endpoint of a worker, in the order of the document."""
    return (
        *predict_routes(desk),
        *risk_routes(desk),
        *regime_routes(desk),
        *feature_routes(desk, cache),
        *model_routes(desk),
        *health_routes(desk),
    )


def api(routes: tuple[Route, ...], endpoints: Endpoints) -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[strays], client_max_size=MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    for route in routes:
        app.router.add_route(route.method, route.path, endpoints.handler(route))
    text = msgspec.json.encode(document(routes, version("tradewind")))

    async def described(_request: web.Request) -> web.Response:
        return web.Response(body=text, content_type="application/json")

    app.router.add_get("/api/v1/openapi.json", described)
    return app
