"""Where the tasks of a worker wait: what to ask a process that stands still.

The watchdog says it before it ends a worker, and ``kill -USR1`` asks a worker for it. Tasks that
wait at the same place make one line, and no values are told: they may be secret.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

from faust.types import AppT

from streams.transport import consumer_of

# Frame and what it waits for, of a coroutine and of a generator that is one.
_INNER = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"))


def of_worker(app: AppT) -> str:
    """Return where all tasks wait, those of the thread that talks to the broker apart."""
    loops = {"this loop": app.loop, "the consumer's": consumer_of(app).thread_loop()}
    return "\n".join(f"{name}:\n{of_loop(loop)}" for name, loop in loops.items())


def of_loop(loop: asyncio.AbstractEventLoop) -> str:
    """Return where the tasks of a loop wait, be it another thread's; empty if there is none."""
    places = Counter(_place(task) for task in asyncio.all_tasks(loop))
    return "\n".join(f"  {n} x {place}" for place, n in sorted(places.items()))


def of_task(name: str) -> str:
    """Return where a task of this loop waits, from its begin to the innermost await, or nothing."""
    tasks = (task for task in asyncio.all_tasks() if task.get_name() == name)
    return "\n".join(f"  {_line(frame)}" for task in tasks for frame in _awaits(task))


def _place(task: "asyncio.Task[Any]") -> str:
    frames = list(_awaits(task))
    names = " > ".join(frame.f_code.co_qualname for frame in frames)
    return f"{names} at {_line(frames[-1])}" if frames else repr(task.get_coro())


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"


def _awaits(task: "asyncio.Task[Any]") -> Iterator[FrameType]:
    """Yield the frames of a task; what an asynchronous generator awaits can be seen by nobody."""
    at: Any = task.get_coro()
    while at is not None:
        for frame, inner in _INNER:
            if getattr(at, frame, None) is not None:
                yield getattr(at, frame)
                at = getattr(at, inner)
                break
        else:
            return
