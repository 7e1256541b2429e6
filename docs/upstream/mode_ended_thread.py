"""mode never answers a call to a service's thread that comes while the thread ends.

``python mode_ended_thread.py [--with-change]`` exits 1 while the bug is there. It needs no broker,
and takes some 10 seconds.
"""

import argparse
import asyncio
import threading
from importlib.metadata import version

from mode.threads import QueueServiceThread
from mode.utils.futures import maybe_set_exception

CLOSING_S = 2.0
PATIENCE_S = 6.0


def apply_change() -> None:
    """Fail what a thread was asked for and has not answered when it ends, as proposed."""
    start = QueueServiceThread._start_thread

    async def call_thread(self, fun, *args, **kwargs):
        promise = self.parent_loop.create_future()
        asked_of(self).add(promise)
        try:
            await self.method_queue.call(promise, fun, *args, **kwargs)
            return await promise
        finally:
            asked_of(self).discard(promise)

    def asked_of(self):
        return self.__dict__.setdefault("_asked", set())

    def fail_asked(self):
        for promise in asked_of(self):
            maybe_set_exception(promise, RuntimeError("the thread has ended"))

    def start_thread(self):
        try:
            start(self)
        finally:
            # In the parent's loop, where calls begin: whatever came before the end is in the set,
            # and whatever comes behind it finds a closed loop.
            self.parent_loop.call_soon_threadsafe(fail_asked, self)

    QueueServiceThread.call_thread = call_thread
    QueueServiceThread._start_thread = start_thread


class Part(QueueServiceThread):
    """A service that closes something when its thread stops, as Faust's consumer does."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closing = threading.Event()

    async def on_thread_stop(self) -> None:
        """End the queue of calls, then take a moment, as a client that leaves its group does."""
        await super().on_thread_stop()
        self.is_closing.set()
        await asyncio.sleep(CLOSING_S)


async def answer() -> str:
    """Be what is asked of the thread."""
    return "answered"


async def asked(part: Part) -> str:
    """Ask the thread, and tell what came of it."""
    try:
        return await asyncio.wait_for(part.call_thread(answer), PATIENCE_S)
    except TimeoutError:
        return f"no answer within {PATIENCE_S:g} s"
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"


async def play() -> int:
    """Ask a thread that works, one that ends, and one that has ended."""
    part = Part()
    await part.start()
    working = await asked(part)
    await part.crash(RuntimeError("on purpose"))
    await asyncio.to_thread(part.is_closing.wait)
    ending = await asked(part)
    ended = await asked(part)
    print(f"\nmode-streaming {version('mode-streaming')}")
    print(f"asked while it works: {working}")
    print(f"asked while it ends: {ending}")
    print(f"asked when it has ended: {ended}")
    if working != "answered" or not ended.startswith("RuntimeError"):
        print("the thread did not work or did not end: the run says nothing")
        return 2
    is_silent = ending.startswith("no answer")
    print("the bug is there: whoever asked waits for ever" if is_silent else "mended")
    return int(is_silent)


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with-change", action="store_true")
    if parser.parse_args().with_change:
        apply_change()
    return asyncio.run(play())


if __name__ == "__main__":
    raise SystemExit(main())
