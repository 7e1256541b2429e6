"""Time that is not waited for: an event loop whose clock jumps to whatever is due next.

Nothing outside of the process is waited for, so the order of all that happens is the loop's own:
what is ready runs in order, then what is due first. An hour of quiet costs a few heartbeats.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

Answer = TypeVar("Answer")

# Whatever has not come to rest by then never will.
_LONGEST_S = 20_000.0

# When the world begins, nanoseconds since 1970: no test may depend on which day it is.
_BEGINS_NS = 1_700_000_000_000_000_000


class NothingLeftError(Exception):
    """All wait for one another: nothing is ready, and nothing is due at any time."""


class _Jump(selectors.DefaultSelector):
    """Waits for no file, and puts the clock on instead."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return at once, as late as was to be waited for."""
        if timeout is None:
            raise NothingLeftError(f"nothing happens any more after {self.now_s:.3f} s")
        self.now_s += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, in seconds from 0."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the virtual time."""
        return self._jump.now_s


def run(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine to its end in virtual time; the product's clocks show it, too.

    Raises
    ------
    TimeoutError
        If it has not come to its end within hours.
    """

    async def bounded() -> Answer:
        async with asyncio.timeout(_LONGEST_S):
            return await main

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, _clocks(runner.get_loop()):
        return runner.run(bounded())


@contextmanager
def _clocks(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    def wall_ns() -> int:
        return _BEGINS_NS + round(loop.time() * 1e9)

    with (
        patch("streams.clock.monotonic_s", loop.time),
        patch("streams.clock.wall_ns", wall_ns),
        patch("streams.sources.replay.wall_ns", wall_ns),
    ):
        yield
