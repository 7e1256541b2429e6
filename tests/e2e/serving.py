"""A run whose worker answers: the tape is through, and requests come."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agents.run.serving import auth_folder
from agents.run.workers import free_port
from streams.brokers import stack_id
from streams.instructions import Role
from tables.stores.token_keys import TokenKeys
from tables.views.auth import issue
from tests.runs import Trial, trial

STACK = "test-0a1b2c3d"


@dataclass
class Served:
    """A run, where its workers answer, and a client."""

    trial: Trial
    keys: TokenKeys
    session: aiohttp.ClientSession
    ports: dict[str, int]
    stack: str = STACK

    def token(self, role: Role = "trader", portfolios: Iterable[str] = ("*",)) -> str:
        """Issue a token."""
        return issue(self.keys, self.stack, f"{role} of a test", role, list(portfolios), 1)[0]

    def headers(self, role: Role = "trader", **more: str) -> dict[str, str]:
        """Give the headers of a role's request, with a token of its own."""
        return {"Authorization": f"Bearer {self.token(role)}", **more}

    def url(self, path: str, instance: str = "0") -> str:
        """Give the address of a path at a worker."""
        return f"http://127.0.0.1:{self.ports[instance]}{path}"

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Ask as a trader and read the answer."""
        async with self.session.get(self.url(path), headers=self.headers() | headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(
        self,
        path: str,
        body: object,
        role: Role = "trader",
        **headers: str,
    ) -> tuple[int, Any]:
        """Send a body and read the answer."""
        said = self.headers(role) | headers
        async with self.session.post(self.url(path), json=body, headers=said) as answer:
            return answer.status, await answer.json(content_type=None)

    def start(self, instance: str, redis_url: str = "", *more: str) -> None:
        """Start a worker with an API at its port, with more options of ``tradewind worker``."""
        port = self.ports.setdefault(instance, free_port("127.0.0.1"))
        options = (
            f"--api-port={port}",
            f"--auth={self.keys.folder}",
            f"--stack={self.stack}",
            f"--redis={redis_url}",
            *more,
        )
        self.trial.start(instance, serving=options)

    async def ready(self, instance: str = "0") -> None:
        """Wait until a worker can answer."""

        async def is_ready() -> bool:
            try:
                async with self.session.get(self.url("/api/v1/health", instance)) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await self.trial.until(is_ready, f"worker {instance} ready")


@asynccontextmanager
async def served(
    servers: str,
    home: Path,
    models: str,
    name: str,
    redis_url: str = "",
    **of_trial: Any,  # noqa: ANN401  as `trial` takes them
) -> AsyncIterator[Served]:
    """Play a tape through one worker with an API that takes the stack's tokens, and yield it."""
    keys = TokenKeys(auth_folder(home))
    keys.rotate()
    async with (
        trial(servers, home, models, name, **of_trial) as run,
        aiohttp.ClientSession() as session,
    ):
        serving = Served(run, keys, session, {}, stack_id(home))
        serving.start("0", redis_url)
        await run.feed()
        await serving.ready()
        yield serving
