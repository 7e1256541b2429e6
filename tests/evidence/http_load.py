"""Requests at a rate that answers do not slow down: latency counts from when each was meant to go.

The load comes from a process of its own, so that making requests takes no time from answering
them; what is measured and what stands beside it take turns in one run.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from streams.clock import monotonic_s
from tests.evidence.measurement import quantile

_CONNECTIONS = 256


class Load(NamedTuple):
    """What is sent: to where, how often a second, how many, with which headers and bodies.

    Headers and bodies are taken in turn; a ``{n}`` in a header becomes the request's number.
    """

    method: str
    urls: Sequence[str]
    per_second: float
    n: int
    headers: Sequence[dict[str, str]]
    bodies: Sequence[object]


class Seen(NamedTuple):
    """Latencies in ms, in order of size, and how many answers had each status."""

    ms: list[float]
    statuses: dict[str, int]

    def quantile(self, share: float) -> float:
        """Return a quantile in ms."""
        return round(quantile(self.ms, share), 3)


async def open_loop(load: Load, ask: Callable[[int], Awaitable[str]]) -> Seen:
    """Ask at the load's times, wait for all answers, and count what they were."""
    ms: list[float] = []
    outcomes: Counter[str] = Counter()
    begun_s = monotonic_s() + 0.2

    async def one(number: int) -> None:
        outcomes[await ask(number)] += 1
        ms.append(1e3 * (monotonic_s() - begun_s - number / load.per_second))

    tasks = []
    for number in range(load.n):
        await asyncio.sleep(begun_s + number / load.per_second - monotonic_s())
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return Seen(sorted(ms), dict(outcomes))


async def send(load: Load) -> Seen:
    """Send all requests at their times and wait for all answers."""
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(number: int) -> str:
            headers = {
                name: value.replace("{n}", str(number))
                for name, value in load.headers[number % len(load.headers)].items()
            }
            body = load.bodies[number % len(load.bodies)] if load.bodies else None
            async with session.request(
                load.method, load.urls[number % len(load.urls)], headers=headers, json=body
            ) as answer:
                await answer.read()
                return str(answer.status)

        return await open_loop(load, one)


async def sent_by_another(load: Load, program: Sequence[str] = (__name__, "send")) -> Seen:
    """Send a load from a process of its own, by this program or a like one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(json.dumps(load._asdict()).encode())
    found: dict[str, Any] = json.loads(said)
    return Seen(**found)


def tell(seen: Seen) -> None:
    """Print what was seen, for who has started this process."""
    # More than a pipe holds: what does not block would lose the rest.
    os.set_blocking(sys.stdout.fileno(), True)
    ms = [round(one, 4) for one in seen.ms]
    sys.stdout.write(json.dumps(seen._replace(ms=ms)._asdict()) + "\n")
    sys.stdout.flush()


async def echo(host: str, port: int) -> None:
    """Serve the bare floor until ended: JSON in, the same JSON out, by the same server."""

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"symbol": request.path})
        return web.json_response(await request.json())

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    if sys.argv[1] == "echo":
        uvloop.run(echo("127.0.0.1", int(sys.argv[2])))
    else:
        tell(uvloop.run(send(Load(**json.load(sys.stdin)))))
