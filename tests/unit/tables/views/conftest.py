"""What the tests of the API share: a desk, tokens, and a client of the real application."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from streams.instructions import Role
from tables.stores.feature_cache import FeatureCache
from tables.stores.token_keys import TokenKeys
from tables.views.api import (
    OF_LEARNING,
    OF_PAGES,
    OF_ROLLOUT,
    api,
    elsewhere,
    worker_endpoints,
)
from tables.views.auth import Callers, issue
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tests.unit.tables.views.answering import Answering

STACK = "unit-0a1b2c3d"


@dataclass
class Asking:
    """A client of an application, and the desk behind it."""

    desk: Answering
    keys: TokenKeys
    client: TestClient[Any, Any]
    tokens: dict[Role, str] = field(default_factory=dict)

    def token(self, role: Role, portfolios: tuple[str, ...] = ("*",)) -> str:
        """Issue a token."""
        return issue(self.keys, STACK, role, role, list(portfolios), 1)[0]

    async def ask(
        self,
        path: str,
        body: object = None,
        role: Role = "trader",
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> tuple[int, Any, ClientResponse]:
        """Ask as a role; with a body or data it is a POST."""
        if role not in self.tokens:
            self.tokens[role] = self.token(role)
        said = {"Authorization": f"Bearer {self.tokens[role]}", **(headers or {})}
        if data is not None:
            said = {"Content-Type": "application/json", **said}
        method = "GET" if body is None and data is None else "POST"
        given: dict[str, Any] = {"data": data} if data is not None else {"json": body}
        if method == "GET":
            given = {}
        answer = await self.client.request(method, path, headers=said, **given)
        return answer.status, await answer.json(content_type=None), answer


Serve = Callable[[Answering], Awaitable[Asking]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Give a way to serve a desk."""
    clients: list[TestClient[Any, Any]] = []
    forwarder = Forwarder()

    async def served(desk: Answering) -> Asking:
        keys = TokenKeys(tmp_path / "auth")
        endpoints = Endpoints(Callers(keys, STACK), CallLimits(), forwarder)
        bound = (
            *worker_endpoints(desk, FeatureCache()),
            *elsewhere((*OF_PAGES, *OF_LEARNING, *OF_ROLLOUT), "", "another"),
        )
        client: TestClient[Any, Any] = TestClient(TestServer(api(bound, endpoints)))
        await client.start_server()
        clients.append(client)
        return Asking(desk, keys, client)

    yield served
    for client in clients:
        await client.close()
    await forwarder.close()


@pytest.fixture
async def asking(serve: Serve, tmp_path: Path) -> Asking:
    """Serve a book of a million that has seen four bars at 100, the last with targets of 0.05."""
    desk = Answering(tmp_path / "artifacts")
    desk.log.warm()
    desk.bar(1, target=0.0)
    return await serve(desk)
