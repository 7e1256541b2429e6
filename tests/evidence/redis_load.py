"""Single GETs of a Redis at a rate that answers do not slow down, as :mod:`http_load` does HTTP."""

import json
import sys

import uvloop
from redis.asyncio import Redis

from tests.evidence.http_load import Load, Seen, open_loop, tell


async def send(load: Load) -> Seen:
    """Ask for the keys in the load's bodies, in turn; an answer is a ``hit`` or a ``miss``."""
    client = Redis.from_url(load.urls[0])

    async def get(number: int) -> str:
        value = await client.get(str(load.bodies[number % len(load.bodies)]))
        return "miss" if value is None else "hit"

    try:
        return await open_loop(load, get)
    finally:
        await client.aclose()


if __name__ == "__main__":
    tell(uvloop.run(send(Load(**json.load(sys.stdin)))))
