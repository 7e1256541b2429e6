"""The watch of a process's loop: one that does not turn any more ends the process.

Whatever never gives the loop back cannot be seen from within it, so a thread looks. It counts looks
and no seconds: a process that was frozen has had no time.
"""

import asyncio
import faulthandler
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from streams.late_end import FAILED

log = logging.getLogger("tradewind.watchdog")

# A minute: the longest that anything of ours keeps the loop is a few seconds.
LOOKS = 60
EVERY_S = 1.0


@contextmanager
def loop_watched(looks: int = LOOKS, every_s: float = EVERY_S) -> Iterator[None]:
    """End this process if the running loop does not turn for long while in the block.

    The stacks of all threads go to standard error first: the innermost frame is what holds it up.
    """
    loop, over, turned = asyncio.get_running_loop(), threading.Event(), threading.Event()

    def look() -> None:
        n_still = 0
        while not over.wait(every_s):
            n_still = 0 if turned.is_set() else n_still + 1
            if n_still > looks:
                _end(looks * every_s)
                return
            turned.clear()
            with suppress(RuntimeError):  # a loop that is closed needs no watch
                loop.call_soon_threadsafe(turned.set)

    turned.set()
    threading.Thread(target=look, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end(still_s: float) -> None:
    try:
        log.critical("the loop has not turned for %g s, this process ends", still_s)
        faulthandler.dump_traceback()
    finally:
        os._exit(FAILED)
