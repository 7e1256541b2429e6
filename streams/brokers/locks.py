"""One exclusive file lock, which a child process can inherit and so hold for its whole life."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_OWNER_ONLY = 0o600


class FileLock:
    """A held lock on a file; the kernel frees it when the last holder of its descriptor is gone.

    A descriptor that is passed to a child keeps the lock for as long as the child lives, even if
    this process is killed. So "the lock is free" proves "no process works here".
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock on ``path``; wait for as long as another process holds it."""
        return cls(_locked(path, fcntl.LOCK_EX))

    @classmethod
    def try_take(cls, path: Path) -> Self | None:
        """Take the lock on ``path``; return None if another process holds it."""
        try:
            return cls(_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Give up this process's hold; a child that inherited the lock keeps it."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _locked(path: Path, operation: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        fcntl.flock(descriptor, operation)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
