"""A request that another process owns goes there once, with its body, deadline and caller."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Literal

import aiohttp
from aiohttp import web

from tables.views.problems import not_ready

FORWARDED = "Tradewind-Forwarded"

_KEPT = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Request-Timeout-Ms",
    "traceparent",
)
_RETURNED = (
    "Content-Type",
    "Idempotency-Key",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
)
_CONNECT_S = 0.5

Sender = Literal["worker", "pages"]


class Forwarder:
    """The connections of a process to the others; made at the first use, closed at the end.

    Parameters
    ----------
    tls
        How to check the others, where they speak TLS.
    sender
        What this process is. The pages own no portfolio and know one worker, so the way from them
        to it is no hop yet: it may ask the owner. Whatever else was sent on goes no further.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, sender: Sender = "worker") -> None:
        self._tls = tls
        self._sender = sender
        self._session: aiohttp.ClientSession | None = None

    async def forward(
        self, request: web.Request, owner: str, headers: Mapping[str, str]
    ) -> web.Response:
        """Send a request to its owner and return the answer as it is.

        Raises
        ------
        ProblemError
            503 if it has made its hop already, or if the owner does not answer.
        """
        came_from = request.headers.get(FORWARDED)
        if came_from is not None and (came_from, self._sender) != ("pages", "worker"):
            raise not_ready("NOT_OWNER", "the portfolio moves from one worker to another")
        kept = {name: request.headers[name] for name in _KEPT if name in request.headers}
        kept |= {FORWARDED: self._sender, "X-Request-Id": headers["request-id"]}
        there = owner.rstrip("/") + request.path_qs
        # What a GET carries means nothing (RFC 9110, 9.3.1), and nobody here reads it.
        sent = None if request.method == "GET" else await request.read()
        try:
            async with self._open().request(
                request.method, there, data=sent, headers=kept
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError) as error:
            detail = f"the worker that owns the portfolio, at {owner}, does not answer: {error!r}"
            raise not_ready("OWNER_AWAY", detail) from error
        returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        return web.Response(status=answer.status, body=body, headers=returned)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The endpoint's deadline bounds the whole; what cannot be connected to is said sooner.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                auto_decompress=False,
                connector=aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
