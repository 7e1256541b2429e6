"""``/live``: decisions as they come, by server-sent events (HTML Living Standard, section 9.2).

Each event carries lines as the page of the list prints them, and up to where the log was read; a
browser that comes back says so by itself. Who reads nothing for ten seconds is cut off, so that the
memory of this process has a bound; trading is in another one and never waits.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from tables.views.decision_row import DecisionRow
from tables.views.guard import Door, Message, MessageError
from tables.views.live_tail import LiveTail, Reader, parse_position, position_text
from tables.views.query import QueryError, parse_query
from tables.views.request_log import VIEWER
from tables.views.templates import line_html

READERS_MAX = 500
HEARTBEAT_S = 15.0
SLOW_S = 10.0

# Lines of one bar come within milliseconds: they are sent together.
_GATHER_S = 0.1
_RETRY_MS = 3_000

_FULL = Message(
    503,
    "Too many follow",
    f"{READERS_MAX} browsers follow the decisions already.",
    "Reload this page later; the list itself is served to everybody.",
)
_BAD_FOLLOW = Message(
    400,
    "This cannot be followed",
    "The address of the stream has a filter or a position that cannot be.",
    "Start from the list of decisions.",
)


@dataclass(frozen=True, slots=True)
class LiveStream:
    """Serves the stream.

    Parameters
    ----------
    tail
        What is followed.
    door
        Knows whether somebody may still look; None if nobody is asked.
    """

    tail: LiveTail
    door: Door | None

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/live``."""
        if len(self.tail.readers) >= READERS_MAX:
            raise MessageError(_FULL)
        reader = self._reader(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            await self._write(response, f"retry: {_RETRY_MS}\n\n")
            while not reader.is_over and self._may_look(request):
                rows, n_left_out = await reader.take(HEARTBEAT_S)
                await self._write(response, event_text(rows, n_left_out, reader))
                await asyncio.sleep(_GATHER_S)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self.tail.close(reader)
        return response

    async def end(self, _app: web.Application) -> None:
        """Let everybody go: the process stops."""
        for reader in self.tail.readers:
            reader.end()

    def _reader(self, request: web.Request) -> Reader:
        given = [(name, value) for name, value in request.query.items() if name != "since"]
        since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        position = parse_position(since) if since else None
        try:
            asked = parse_query(given)
        except QueryError as error:
            raise MessageError(_BAD_FOLLOW) from error
        if since and position is None:
            raise MessageError(_BAD_FOLLOW)
        viewer = request[VIEWER]

        def wants(row: DecisionRow) -> bool:
            return asked.wants(row) and viewer.may_see(row.portfolio)

        return self.tail.open(wants, position)

    def _may_look(self, request: web.Request) -> bool:
        return self.door is None or self.door.viewer(request) is not None

    @staticmethod
    async def _write(response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(SLOW_S):
            await response.write(text.encode())


def event_text(rows: Sequence[DecisionRow], n_left_out: int, reader: Reader) -> str:
    """Return what is sent: lines, the newest first, and what was left out; else a sign of life."""
    parts = []
    if n_left_out:
        parts.append(f"event: left-out\ndata: {n_left_out}\n\n")
    if rows:
        ordered = sorted(rows, key=lambda row: row.key, reverse=True)
        data = "\n".join(
            f"data: {line}" for row in ordered for line in line_html(row).strip().splitlines()
        )
        parts.append(f"id: {position_text(reader.position)}\nevent: decisions\n{data}\n\n")
    return "".join(parts) or ": still here\n\n"
