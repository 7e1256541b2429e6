"""One training at a time on a machine, whichever command or stack it is of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.run.progress import Progress
from streams.brokers.locks import FileLock


@contextmanager
def one_training(home: Path, progress: Progress) -> Iterator[None]:
    """Run the block when no other training runs; the wait is shown as a step of its own.

    Two would take turns on the cores, or share the memory of one accelerator until it is full. A
    process that is killed lets the next one go on.

    Parameters
    ----------
    home
        A stack's folder; the lock is for all stacks beside it.
    """
    path = home.parent / "training.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock.try_take(path)
    if lock is None:
        progress("wait for another training", 0.0)
        lock = FileLock.take(path)
        progress("wait for another training", 1.0)
    with lock:
        yield
